"""Links to a job's result that need no key."""
