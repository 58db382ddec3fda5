"""Where a job's time went, noted in the transactions that end its phases."""
