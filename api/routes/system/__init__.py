"""What needs no key: health, metrics, documentation."""
