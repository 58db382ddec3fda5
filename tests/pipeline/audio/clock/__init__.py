"""Decoded samples on the clock of the recording."""
