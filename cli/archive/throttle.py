"""How many recordings are under way at once: few at first, more with each that goes well, none while a server asks for a pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FIRST = 4


class Stopped(Exception):
    """The command ends; nothing more is begun."""


class Throttle:
    """Turns of one run. Thread-safe."""

    def __init__(self, most: int, *, first: int = FIRST) -> None:
        self._most, self._allowed = most, min(first, most)
        self._running, self._not_before = 0, 0.0
        self._changed = threading.Condition()
        self._shut = self._stopped = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One of the recordings under way. Raises Stopped."""
        with self._changed:
            while not self._shut and (self._running >= self._allowed or self._pause() > 0):
                self._changed.wait(self._pause() or None)
            if self._shut:
                raise Stopped
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def limit(self, most: int) -> None:
        """No more than so many at once, whoever asks for more."""
        with self._changed:
            self._most, self._allowed = min(self._most, most), min(self._allowed, most)

    def went_well(self) -> None:
        """One more at once."""
        with self._changed:
            self._allowed = min(self._most, self._allowed + 1)
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Nothing begins for so long, and fewer at once afterwards: the server said so."""
        with self._changed:
            self._allowed = max(1, min(self._allowed, self._running) // 2 or 1)
            self._not_before = max(self._not_before, time.monotonic() + seconds)
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Raises Stopped as soon as the command ends."""
        until = time.monotonic() + seconds
        with self._changed:
            while (left := until - time.monotonic()) > 0:
                self._check()
                self._changed.wait(left)
            self._check()

    def stop(self) -> None:
        """Whoever waits for a turn, or sleeps, gets Stopped."""
        with self._changed:
            self._shut = self._stopped = True
            self._changed.notify_all()

    def shut(self) -> None:
        """Nobody gets a turn any more; who has one goes on."""
        with self._changed:
            self._shut = True
            self._changed.notify_all()

    def check(self) -> None:
        """Raises Stopped once the command ends."""
        with self._changed:
            self._check()

    @property
    def is_shut(self) -> bool:
        """Whether nobody gets a turn any more."""
        return self._shut

    def _check(self) -> None:
        if self._stopped:
            raise Stopped

    def _pause(self) -> float:
        return max(0.0, self._not_before - time.monotonic())
