"""Wait for something to become true; a test never sleeps for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(true: Callable[[], T], *, seconds: float = 240, every: float = 0.05) -> T:
    """What `true` returned when it was first true. Fails after `seconds`, saying what it was then."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(every)
    return value


def pause(seconds: float) -> None:
    """For what has no sign to wait for: a slow source, another order of events, something that must not come. The test holds
    however long it lasts, and however little happens meanwhile."""
    time.sleep(seconds)
