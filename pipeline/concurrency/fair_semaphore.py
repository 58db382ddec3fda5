"""A semaphore that lets those in first who came first, threads and greenlets alike."""

from __future__ import annotations

import threading
from collections import deque
from typing import Self

from pipeline.concurrency.greenlet_io import Signal


class FairSemaphore:
    """`count` at once. As a context manager it waits as long as it takes."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()  # held for a moment, never while anybody waits
        self._free = count
        self._waiting: deque[Signal] = deque()

    def acquire(self, seconds: float | None = None) -> bool:
        """Whether there was one within so many seconds."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            signal = Signal()
            self._waiting.append(signal)
        try:
            return signal.wait(seconds) or not self._withdrawn(signal)
        except BaseException:
            if not self._withdrawn(signal) and not signal.lost:
                self.release()
            raise

    def release(self) -> None:
        """To whoever waits longest."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                first = self._waiting.popleft()
            first.give()
            if not first.lost:
                return

    def _withdrawn(self, signal: Signal) -> bool:
        """Wait no more. False where a turn came in this moment."""
        with self._lock:
            if signal not in self._waiting:
                return False
            self._waiting.remove(signal)
        return True

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
