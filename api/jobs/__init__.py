"""A job made, estimated and read."""
