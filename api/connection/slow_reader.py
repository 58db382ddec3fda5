"""A client that takes its answer too slowly: it holds a connection, memory, and often a request's slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.http.request_body import LEAST_RATE

SECONDS = 30.0  # over which the rate is measured


class SlowReader:
    """Watches what leaves a connection, from the moment on when something has to wait there, and calls `cut`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, cut: Callable[[], None]) -> None:
        self._loop = loop
        self._transport = transport
        self._cut = cut
        self._timer: asyncio.TimerHandle | None = None
        self.written = 0  # bytes so far
        self._then = (0, 0)  # bytes written and gone, when it was looked at last

    def watch(self) -> None:
        """Something may be waiting to be read."""
        if self._timer is None and self._transport.get_write_buffer_size():
            self._look_later()

    def stop(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._then = (self.written, self._gone())
        self._timer = self._loop.call_later(SECONDS, self._check)

    def _check(self) -> None:
        """Slow is who has not even taken what was there at the last look, nor enough of it."""
        self._timer = None
        written, gone = self._then
        if self._gone() < written and self._gone() - gone < LEAST_RATE * SECONDS:
            self._cut()
        elif self._transport.get_write_buffer_size():
            self._look_later()

    def _gone(self) -> int:
        return self.written - self._transport.get_write_buffer_size()
