"""What an account holder may say about the balance."""

from __future__ import annotations

from pydantic import Field

from api.schemas.admin import Amount, Strict


class BalanceChanges(Strict):
    """What PATCH /v1/balance takes."""

    low_threshold: Amount | None = Field(
        description="US dollars: `balance.low` tells when less is left, what is held included. null: never."
    )
