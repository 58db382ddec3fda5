"""The keys that were good a moment ago, so that a busy one does not ask the database each time."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from infra.keys import scopes
from infra.keys.tiers import Limits

REMEMBERED_SECONDS = 4.0  # a key revoked elsewhere is refused here within 5 s, a slow look-up at that moment included
REMEMBERED_KEYS = 10_000


@dataclass(frozen=True)
class Principal:
    """Who is asking, what the key may do, and how much the account may."""

    account_id: str
    key_id: str
    tier: str
    scopes: frozenset[str] = scopes.ALL
    limits: Limits = field(default=Limits())


class KeyCache:
    """Principals by a digest of their whole key, for at most REMEMBERED_SECONDS, safe between threads."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._remembered)

    def recall(self, secret: str) -> Principal | None:
        """Whose key it was a moment ago."""
        with self._lock:
            until, principal = self._remembered.get(_digest(secret), (0.0, None))
        return principal if time.monotonic() < until else None

    def remember(self, secret: str, principal: Principal, seconds: float) -> None:
        """For so many seconds, or fewer."""
        digest = _digest(secret)
        with self._lock:
            self._remembered[digest] = (time.monotonic() + min(seconds, REMEMBERED_SECONDS), principal)
            self._remembered.move_to_end(digest)
            while len(self._remembered) > REMEMBERED_KEYS:
                self._remembered.popitem(last=False)

    def forget(self, *, key_id: str | None = None, account_id: str | None = None) -> None:
        """What is remembered of a key, or of all of an account's."""
        with self._lock:
            for digest, (_, known) in list(self._remembered.items()):
                if key_id == known.key_id or account_id == known.account_id:
                    del self._remembered[digest]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
