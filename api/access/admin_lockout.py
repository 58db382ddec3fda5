"""Lock-out: so many wrong admin keys a minute from a peer, then further wrong ones are refused without a look at anything else.

Counted in this process alone, which is exact enough for a brake. The right key is always let in: whoever shares an address
with a guesser (an office, a proxy) would else be locked out by it. What makes guessing hopeless is the key's length; the brake
only makes it quiet.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict, deque

from pipeline.errors import RateLimited

log = logging.getLogger("stenopool.admin")
WRONG_A_MINUTE = 300  # a misconfigured client of ten processes stays below
MINUTE = 60.0  # seconds
PEERS = 10_000  # remembered at once


class AdminLockout:
    """Wrong keys by peer."""

    def __init__(self, most: int = WRONG_A_MINUTE) -> None:
        self._most = most
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._told_at = -math.inf

    def check(self, peer: str) -> None:
        """Of a wrong key. Raises RateLimited for a peer that has sent too many of them."""
        times, moment = self._wrong.get(peer), time.monotonic()
        if times and len(times) == self._most and (wait := times[0] + MINUTE - moment) > 0:
            self._tell(peer, moment)
            seconds = math.ceil(wait)
            raise RateLimited(
                f"Too many wrong admin keys from this address. Please try again in {seconds} s.", retry_after=seconds
            )

    def _tell(self, peer: str, moment: float) -> None:
        """Whoever watches the log, once a minute: a line for each attempt would be an attack on the log."""
        if moment >= self._told_at + MINUTE:
            self._told_at = moment
            log.warning("wrong admin keys from %s: %d within a minute, more are refused", peer, self._most)

    def wrong(self, peer: str) -> None:
        """One more."""
        self._wrong.setdefault(peer, deque(maxlen=self._most)).append(time.monotonic())
        self._wrong.move_to_end(peer)
        while len(self._wrong) > PEERS:
            self._wrong.popitem(last=False)
