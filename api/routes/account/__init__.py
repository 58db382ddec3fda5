"""What the holder of a key reads and sets: models, usage, webhook endpoints."""
