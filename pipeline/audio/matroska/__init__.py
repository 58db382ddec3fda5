"""Matroska and WebM that damage has hit: clusters without headers, heads of blocks that tell nonsense, tracks nobody can read."""
