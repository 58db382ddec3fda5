"""What the environment of a process may say beside plain values."""
