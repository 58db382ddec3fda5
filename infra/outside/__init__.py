"""The way out to addresses that a user gave us."""
