"""What every call to a provider elsewhere shares: a turn, tries with jitter inside a time budget, and a circuit."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from pipeline.concurrency.fair_semaphore import FairSemaphore
from pipeline.concurrency.greenlet_io import run_in_thread
from pipeline.errors import ProviderBusy, ProviderError, ProviderNonsense, ProviderUnavailable
from pipeline.resilience.circuit_breaker import CircuitBreaker
from pipeline.resilience.deadline import Deadline
from pipeline.resilience.fallback import has_fallback

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_OF_NONSENSE = 2  # tries; who does not understand itself the second time either is not having a bad moment


class RetryPolicy:
    """One provider's calls, from any thread and any greenlet, `concurrency` of them at once.

    A call with all its tries takes `timeout_s` seconds at most; a failed try is repeated within the first `retry_s`, and there
    are no more than `most` tries. Who is over its limit is not waited for where another route can answer.
    """

    def __init__(
        self,
        provider: str,
        *,
        timeout_s: float,
        retry_s: float,
        concurrency: int,
        most: int = 5,
        circuit: CircuitBreaker | None = None,
    ) -> None:
        self._provider = provider
        self._timeout_s, self._retry_s, self._most = timeout_s, min(retry_s, timeout_s), most
        self._semaphore = FairSemaphore(concurrency)
        self._circuit = circuit or CircuitBreaker(provider)
        self._closing = threading.Event()

    def persist(self, ask: Callable[[Deadline], T], seconds: float | None = None) -> T:
        """The answer of `ask`, which has `seconds` for each try. Raises ProviderError once trying cannot help."""
        whole, again = Deadline(self._timeout_s), Deadline(self._retry_s)
        with self._circuit.watching():
            for nth in itertools.count():
                try:
                    return ask(Deadline(self._timeout_s if seconds is None else seconds, within=whole))
                except ProviderError as error:
                    if not error.retryable or not self._pause(nth, error, again):
                        raise
        raise AssertionError("unreachable: the last try returns or raises")

    def _pause(self, nth: int, error: ProviderError, again: Deadline) -> bool:
        """Wait before the next try; False when there should be none."""
        jittered = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**nth) * random.uniform(0.5, 1)  # noqa: S311 - spreads the tries
        wait = max(float(error.details.get("retry_after") or 0), jittered)
        if isinstance(error, ProviderBusy) and has_fallback():
            return False
        most = min(self._most, _OF_NONSENSE) if isinstance(error, ProviderNonsense) else self._most
        if nth + 1 >= most or self._circuit.doubtful or time.monotonic() + wait > again.at:
            return False
        return not run_in_thread(partial(self._closing.wait, wait))

    @contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """Around everything of one try. Raises ProviderBusy when no turn comes in time, ProviderUnavailable once closed.

        Waiting for a turn is not the provider's fault: what was left of `deadline` is left of it again when there is one.
        """
        if self._closing.is_set():
            raise ProviderUnavailable("The provider is closed", provider=self._provider)
        seconds = deadline.at - time.monotonic()
        if seconds <= 0 or not self._semaphore.acquire(seconds):
            raise ProviderBusy("Too many calls to this provider at once", provider=self._provider)
        try:
            deadline.again(seconds)
            yield
        finally:
            self._semaphore.release()

    def close(self) -> None:
        """Nothing is asked any more, and nobody waits for a next try."""
        self._closing.set()
