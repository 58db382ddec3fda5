"""Who administers, and the log of what they did."""
