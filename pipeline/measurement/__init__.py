"""What a process counts of its own work, in plain numbers that whoever watches it reads."""
