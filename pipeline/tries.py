"""What every call to a provider elsewhere shares: a turn, tries with jitter inside a time budget, and a circuit."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pipeline.circuit import Circuit
from pipeline.errors import ProviderBusy, ProviderError, ProviderUnavailable

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0


class Tries:
    """One provider's calls, from any thread, `concurrency` of them at once.

    A call with all its tries takes `timeout_s` seconds at most; a failed try is repeated within the first `retry_s`.
    """

    def __init__(
        self, provider: str, *, timeout_s: float, retry_s: float, concurrency: int, circuit: Circuit | None = None
    ) -> None:
        self._provider = provider
        self._timeout_s, self._retry_s = timeout_s, min(retry_s, timeout_s)
        self._turns = threading.BoundedSemaphore(concurrency)
        self._circuit = circuit or Circuit(provider)
        self._closing = threading.Event()

    def persist(self, ask: Callable[[float], T]) -> T:
        """The answer of `ask(deadline)`, a time of `time.monotonic`. Raises ProviderError once trying cannot help."""
        began = time.monotonic()
        pause = _FIRST_PAUSE_S
        while True:
            try:
                with self._circuit.watching():
                    return ask(began + self._timeout_s)
            except ProviderError as error:
                jittered = pause * random.uniform(0.5, 1)  # noqa: S311 - spreads the tries, guards nothing
                wait = max(float(error.details.get("retry_after") or 0), jittered)
                left = began + self._retry_s - time.monotonic()
                if not error.retryable or wait > left or self._closing.wait(wait):
                    raise
            pause = min(_LONGEST_PAUSE_S, 2 * pause)

    @contextmanager
    def turn(self, deadline: float) -> Iterator[None]:
        """Around everything of one try. Raises ProviderBusy when no turn comes in time, ProviderUnavailable once closed."""
        if self._closing.is_set():
            raise ProviderUnavailable("The provider is closed", provider=self._provider)
        left = deadline - time.monotonic()
        if left <= 0 or not self._turns.acquire(timeout=left):
            raise ProviderBusy("Too many calls to this provider at once", provider=self._provider)
        try:
            yield
        finally:
            self._turns.release()

    def close(self) -> None:
        """Nothing is asked any more, and nobody waits for a next try."""
        self._closing.set()
