"""A circuit breaker: who failed several times in a row is left alone for a while, then asked once to see whether it is back.

What counts is a whole call with its tries, so that one poisonous piece of sound cannot open it alone. A refusal is an answer: the
server is there. Being over a rate says neither that it works nor that it fails. A call that somebody else has chosen to see whether
the provider is back (`pipeline.resilience.probe`) is let through, and closes it when it is answered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import ProviderBusy, ProviderNonsense, ProviderUnavailable
from pipeline.resilience.probe import is_probe

_FAILURES = (ProviderUnavailable, ProviderNonsense)


class CircuitBreaker:
    """Opens after `failures` consecutive ones, for `seconds`; then exactly one call at a time decides. Thread-safe."""

    def __init__(
        self, provider: str, *, failures: int = 5, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._limit, self._seconds, self._clock = failures, seconds, clock
        self._failed, self._open_until, self._probing = 0, 0.0, False
        self._opened = 0  # how many times: what began before the last opening tells nothing about afterwards
        self._lock = threading.Lock()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around one call. Raises ProviderUnavailable at once while open."""
        probe, opened = self._admit()
        answered: bool | None = None
        try:
            yield
            answered = True
        except _FAILURES:
            answered = False
            raise
        except ProviderBusy:
            raise
        except Exception:
            answered = True
            raise
        finally:
            self._note(answered, probe=probe, opened=opened)

    @property
    def doubtful(self) -> bool:
        """Whether it is open or being probed, so that nothing should be tried again."""
        with self._lock:
            return self._failed >= self._limit

    def _admit(self) -> tuple[bool, int]:
        """Whether this call is the probe, and the number of openings so far."""
        with self._lock:
            if self._failed < self._limit or is_probe():
                return False, self._opened
            wait = self._open_until - self._clock()
            if wait > 0 or self._probing:
                raise ProviderUnavailable(
                    "The provider failed several times and is left alone for now",
                    provider=self._provider,
                    retry_after=max(1.0, wait),
                )
            self._probing = True
            return True, self._opened

    def _note(self, answered: bool | None, *, probe: bool, opened: int) -> None:
        with self._lock:
            if probe:
                self._probing = False
            if answered is None or opened != self._opened:
                return
            self._failed = 0 if answered else self._failed + 1
            if self._failed >= self._limit:
                self._open_until = self._clock() + self._seconds
                self._opened += 1
