"""The job store: rows of jobs and chunks, and every move they make."""
