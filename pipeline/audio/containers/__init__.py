"""The containers we take, and what tells one from another in its first bytes."""
