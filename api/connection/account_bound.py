"""How many connections an account may have open at once to this process: `connections` among its limits.

A connection counts for the account whose key was shown on it last, until it is closed; one of a trusted proxy, which carries the
requests of many, only while that request is served.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from infra.keys.account_limits import refusal


class Place:
    """One connection's: for whom it counts."""

    account_id: str | None = None
    _leave: Callable[[], None] | None = None

    def take(self, account_id: str, leave: Callable[[], None]) -> None:
        """It counts for this account from now on."""
        self.leave()
        self.account_id, self._leave = account_id, leave

    def leave(self) -> None:
        """It counts for nobody."""
        leave, self.account_id, self._leave = self._leave, None, None
        if leave is not None:
            leave()


class AccountBound:
    """One process'."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()

    def count(self, place: Place, account_id: str, most: int | None) -> None:
        """Raises LimitExceeded for one more than `most`; None: as many as there may be."""
        if place.account_id == account_id:
            return
        if most is not None and self.open[account_id] >= most:
            raise refusal("connections", used=self.open[account_id], limit=most)
        self.open[account_id] += 1
        place.take(account_id, partial(self._left, account_id))

    def _left(self, account_id: str) -> None:
        self.open[account_id] -= 1
        if not self.open[account_id]:
            del self.open[account_id]
