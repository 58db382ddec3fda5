"""What keeps clients of other servers going: their paths, and word of names that end there."""
