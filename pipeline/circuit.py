"""A circuit breaker: who failed several times in a row is left alone for a while, then asked once to see whether it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import ProviderNonsense, ProviderUnavailable


class Circuit:
    """Opens after `failures` consecutive ones, for `seconds`; then one call decides. Thread-safe."""

    def __init__(
        self, provider: str, *, failures: int = 5, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._limit, self._seconds, self._clock = failures, seconds, clock
        self._failed, self._open_until, self._probing = 0, 0.0, False
        self._lock = threading.Lock()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around one call. Raises ProviderUnavailable at once while open."""
        self._admit()
        failed = False
        try:
            yield
        except (ProviderUnavailable, ProviderNonsense):
            failed = True
            raise
        finally:
            self._note(failed)

    def _admit(self) -> None:
        with self._lock:
            if self._failed < self._limit:
                return
            wait = self._open_until - self._clock()
            if wait > 0 or self._probing:
                raise ProviderUnavailable(
                    "The provider failed several times and is left alone for now",
                    provider=self._provider,
                    retry_after=max(1.0, wait),
                )
            self._probing = True

    def _note(self, failed: bool) -> None:
        with self._lock:
            self._probing = False
            self._failed = self._failed + 1 if failed else 0
            if self._failed >= self._limit:
                self._open_until = self._clock() + self._seconds
