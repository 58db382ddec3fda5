"""Text that may be wrong: hallucination suspects, coverage, a retry of suspect chunks, one language."""
