"""What a caller may ask of a job and what is told of it, whoever brings the request: HTTP, or a line of a batch."""
