"""Wait for something to become true; a test never sleeps for a guessed time."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def promised(seconds: float) -> float:
    """A time that we promise on a machine of our own; on one that is shared, with other tests too, as much longer as it is full."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return seconds * max(1.0, max(workers, *os.getloadavg()[:2]) / (os.cpu_count() or 1))


def wait_until(true: Callable[[], T], *, seconds: float = 60, every: float = 0.05) -> T:
    """What `true` returned when it was first true. Fails after `seconds`, saying what it was then."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(every)
    return value
