"""How much of what all share an account of each tier gets beside the others."""

from __future__ import annotations

from collections.abc import Mapping

WEIGHTS: Mapping[str, int] = {"free": 1, "pro": 2, "enterprise": 4}


def weight_of(tier: str) -> int:
    """An account's weight; 1 for a tier that has none."""
    return WEIGHTS.get(tier, 1)
