"""Lock-out: so many wrong admin keys a minute from an address, then none is looked at for a while.

Counted in this process alone, which is exact enough for a brake. The right key waits as well while its address is refused:
an answer that tells it from the others would be what a guesser is after.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque

from pipeline.errors import RateLimited

WRONG_A_MINUTE = 300  # a misconfigured client of ten processes stays below; a guesser gets nowhere
MINUTE = 60.0  # seconds
ADDRESSES = 10_000  # remembered at once


class AdminLockout:
    """Wrong keys by address."""

    def __init__(self, most: int = WRONG_A_MINUTE) -> None:
        self._most = most
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raises RateLimited for an address that has sent too many wrong keys."""
        times = self._wrong.get(address)
        if times and len(times) == self._most and (wait := times[0] + MINUTE - time.monotonic()) > 0:
            seconds = math.ceil(wait)
            raise RateLimited(
                f"Too many wrong admin keys from this address. Please try again in {seconds} s.", retry_after=seconds
            )

    def wrong(self, address: str) -> None:
        """One more."""
        self._wrong.setdefault(address, deque(maxlen=self._most)).append(time.monotonic())
        self._wrong.move_to_end(address)
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)
