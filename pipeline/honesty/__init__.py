"""What is said of text that may be wrong: suspects, coverage, a second hearing, one language."""
