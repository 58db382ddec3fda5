"""Counters and durations of this process, whoever asked for the work: they only grow, and are read as they stand.

An ffmpeg or a provider's answer belongs to the process that waited for it, as its processor time does; so these are the process'
own, and not those of one `Services` among several in it.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from pipeline.errors import StenopoolError

BOUNDS = (
    0.01,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
    1800,
)  # seconds; the last bucket has all that took longer
Labels = tuple[str, ...]


class Counts:
    """How often something happened, by its labels."""

    def __init__(self) -> None:
        self._counts = Counter[Labels]()
        self._lock = threading.Lock()

    def add(self, *labels: str) -> None:
        """It happened once more."""
        with self._lock:
            self._counts[labels] += 1

    def read(self) -> Mapping[Labels, int]:
        """All of them, now."""
        with self._lock:
            return dict(self._counts)


@dataclass
class Spread:
    """Durations: how many fell into the bucket of each of BOUNDS and beyond the last, and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0


class Durations:
    """How long something took, by its labels."""

    def __init__(self) -> None:
        self._spreads: dict[Labels, Spread] = {}
        self._lock = threading.Lock()

    def note(self, seconds: float, *labels: str) -> None:
        """It took so long once."""
        with self._lock:
            spread = self._spreads.setdefault(labels, Spread())
            spread.buckets[bisect_left(BOUNDS, seconds)] += 1
            spread.seconds += seconds

    def read(self) -> Mapping[Labels, Spread]:
        """All of them, now."""
        with self._lock:
            return {labels: Spread(spread.buckets[:], spread.seconds) for labels, spread in self._spreads.items()}


FFMPEG_RUNS = Counts()  # by outcome: ok, failed, stopped (by us, early), not_started
PROVIDER_CALLS = Durations()  # by provider, and outcome: ok, or the code of what it raised

OK = "ok"
STOPPED = "stopped"


class Watch:
    """What somebody puts around each call to a provider, who wants to see more of it than how long it took."""

    def __init__(self) -> None:
        self.around: Callable[[str], AbstractContextManager[object]] = nullcontext


WATCH = Watch()


@contextmanager
def provider_call(provider: str) -> Iterator[None]:
    """Around one call to a provider."""
    began, outcome = time.monotonic(), STOPPED
    try:
        with WATCH.around(provider):
            yield
        outcome = OK
    except StenopoolError as error:
        outcome = error.code
        raise
    finally:
        PROVIDER_CALLS.note(time.monotonic() - began, provider, outcome)
