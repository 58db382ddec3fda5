"""What clients of other servers ask for under other names."""
