"""How many requests may be inside at once: so many of key holders, and, apart from them, so many of strangers.

Whoever shows no valid key can fill the strangers' slots alone, and of those a peer its share; key holders never wait for them,
nor the other way round. Health checks take no slot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from api.http.error_responses import ServerBusy
from api.http.peers import Peer

HOLDERS = 512  # each waiting client costs a task, not a thread
STRANGERS = 128  # public pages, and look-ups of keys that nobody has asked for lately
STRANGERS_PER_PEER = 32


class RequestSlots:
    """One process'. Each method gives the slot back at the end of its `with`; raises ServerBusy at once where none is free."""

    def __init__(self, holders: int = HOLDERS, strangers: int = STRANGERS, per_peer: int = STRANGERS_PER_PEER) -> None:
        self._holders = holders
        self._strangers = strangers
        self._per_peer = per_peer
        self.held = 0
        self.peers: Counter[Peer] = Counter()

    def holder(self) -> AbstractContextManager[None]:
        """For a request with a valid key."""
        if self.held >= self._holders:
            raise ServerBusy
        self.held += 1
        return self._hold()

    def stranger(self, peer: Peer) -> AbstractContextManager[None]:
        """For anybody. A trusted proxy has no share of its own: it stands for many."""
        full = not peer.proxy and self.peers[peer] >= self._per_peer
        if full or self.peers.total() >= self._strangers:
            raise ServerBusy
        self.peers[peer] += 1
        return self._stay(peer)

    @contextmanager
    def _hold(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.held -= 1

    @contextmanager
    def _stay(self, peer: Peer) -> Iterator[None]:
        try:
            yield
        finally:
            self.peers[peer] -= 1
            if not self.peers[peer]:
                del self.peers[peer]
