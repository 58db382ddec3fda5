"""How far a name is from the one that was meant."""

from __future__ import annotations

from rapidfuzz.distance import OSA


def letters_apart(one: str, other: str, most: int) -> int | None:
    """How many letters must be added, left out, changed, or swapped with their neighbour; None for more than `most`."""
    letters = OSA.distance(one, other, score_cutoff=most)
    return letters if letters <= most else None
