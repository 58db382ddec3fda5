"""What is secret in rows is sealed there: the keys, what they seal, and when that may begin."""
