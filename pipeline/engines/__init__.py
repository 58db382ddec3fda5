"""Local engines in warm processes of their own."""
