"""What still arrives after the answer, thrown away within an allowance: a close that overtakes what a client is still sending
destroys the answer on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.http.request_body import Allowance


class Discard:
    """Counts what arrives, and calls `give_up` once the allowance is spent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, give_up: Callable[[], None], allowance: Allowance) -> None:
        self._loop = loop
        self._give_up = give_up
        self._allowance = allowance
        self._left = allowance.total
        self._since = 0
        self._timer = loop.call_later(allowance.seconds, self._check)

    def count(self, size: int) -> None:
        """`size` bytes have arrived."""
        self._left -= size
        self._since += size
        if self._left < 0:
            self.stop()
            self._give_up()

    def stop(self) -> None:
        """It is over."""
        self._timer.cancel()

    def _check(self) -> None:
        least = self._allowance.least
        if not least or self._since < least:
            self._give_up()
            return
        self._since = 0
        self._timer = self._loop.call_later(self._allowance.seconds, self._check)
