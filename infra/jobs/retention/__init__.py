"""What of an ended job goes when its time is over: objects, and what its row says."""
