"""How far a job is: in figures, and in words for people."""
