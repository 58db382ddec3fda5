"""A job's page: its sound and its text together, corrections, what became of it, and its captions on their way out."""
