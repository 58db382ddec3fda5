"""How many bytes of requests a process holds at once, in memory or in files without a name: so many, of which an account may have a
part as long as there are enough free ones for the others.
"""

from __future__ import annotations

import os
import threading
from collections import Counter

SHARE = 4  # times what is free is the most that one account may hold: alone four fifths
GIB = 1024**3  # bytes


def memory_for_bodies() -> int:
    """Bytes: an eighth of the machine's, which is held twice or thrice while it is worked on, and a GiB at most."""
    return min(GIB, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8)


class HeldBytes:
    """May be used from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self.accounts: Counter[str] = Counter()
        self.held = 0

    def take(self, account_id: str, size: int) -> bool:
        """So many bytes more, if they have room."""
        with self._lock:
            has_room = self.accounts[account_id] + size <= SHARE * (self._most - self.held - size)
            if has_room:
                self.held += size
                self.accounts[account_id] += size
            return has_room

    def give_back(self, account_id: str, size: int) -> None:
        """So many are held no more."""
        with self._lock:
            self.held -= size
            self.accounts[account_id] -= size
            if not self.accounts[account_id]:
                del self.accounts[account_id]
