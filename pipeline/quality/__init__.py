"""Text that may be wrong: hallucination suspects, and how much of the speech is covered by words."""
