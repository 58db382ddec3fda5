"""How many of a worker's threads may send webhooks at once: receivers that keep silent must not hold all of them."""

from __future__ import annotations

import threading
from collections import deque


class Senders:
    """`count` at once. A wake-up that finds none free is put off, and seen to by the first that is done."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = max(1, count)
        self._put_off: deque[str] = deque()

    def begin(self, message_id: str) -> bool:
        """Whether the caller is a sender now; it must ask `next` when it is done."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._put_off.append(message_id)
            return False

    def next(self) -> str | None:
        """What was put off, for whoever is done; None: it is a sender no more."""
        with self._lock:
            if self._put_off:
                return self._put_off.popleft()
            self._free += 1
            return None
