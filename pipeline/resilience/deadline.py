"""A moment by which a call must be over, whatever it waits for at that time."""

from __future__ import annotations

import time
from typing import Any


class Deadline:
    """`seconds` from now, and never after the one it is `within`; `again` moves it."""

    def __init__(self, seconds: float, within: Deadline | None = None) -> None:
        self.within, self.at = within, 0.0
        self.again(seconds)

    def left(self) -> float:
        """Seconds, more than 0. Raises TimeoutError when it has passed."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def again(self, seconds: float) -> None:
        """From now on so many seconds."""
        at = time.monotonic() + seconds
        self.at = min(at, self.within.at) if self.within else at

    def timeouts(self, connect: float) -> dict[str, Any]:
        """For a request's `extensions`; connecting takes at most `connect` seconds of it."""
        return {"connect": min(connect, self.left()), "pool": self.left(), "read": self, "write": self}
