"""Faults drawn from a seed against a whole installation under load: `make nemesis SEED=3 DURATION=120`."""
