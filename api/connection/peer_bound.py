"""How many connections a peer may hold that have shown no key: for one more, its own oldest of them is closed."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Protocol

from api.http.peers import Peer, Peers

KEYLESS_PER_PEER = 128
GRACE_SECONDS = 1.0  # in which a new connection may still show its key: an office's may all come at once
MOST_IN_GRACE = 8  # times the bound; beyond it, new ones are closed too


class Connection(Protocol):
    """What is bounded."""

    def has_key(self) -> bool:
        """Whether a valid key was shown on it."""

    def is_shielded(self) -> bool:
        """Whether it is being asked for health, or with a key that is still looked at."""

    def close(self) -> None:
        """At once, answered or not."""


class PeerBound:
    """One server's. A connection with a valid key does not count, nor one of a trusted proxy, which stands for many."""

    def __init__(self, peers: Peers, most: int = KEYLESS_PER_PEER, grace: float = GRACE_SECONDS) -> None:
        self._peers = peers
        self._most = most
        self._grace = grace
        self._keyless: dict[Peer, OrderedDict[Connection, float]] = {}

    def opened(self, connection: Connection, host: str) -> Peer | None:
        """Who opened it, to be told to `closed`; makes room for it."""
        peer = self._peers.of_connection(host)
        if peer.proxy:
            return None
        held = self._keyless.setdefault(peer, OrderedDict())
        if len(held) >= self._most:
            self._make_room(held)
        held[connection] = time.monotonic()
        return peer

    def closed(self, connection: Connection, peer: Peer | None) -> None:
        """It is gone."""
        if peer is None or peer not in self._keyless:
            return
        held = self._keyless[peer]
        held.pop(connection, None)
        if not held:
            del self._keyless[peer]

    def _make_room(self, held: OrderedDict[Connection, float]) -> None:
        """Those that have shown a key meanwhile are no longer looked at; of the others the oldest go that nothing shields."""
        for connection in [one for one in held if one.has_key()]:
            del held[connection]
        for connection in [one for one in held if not one.is_shielded()]:
            age = time.monotonic() - held[connection]
            if len(held) < self._most or (age < self._grace and len(held) < self._most * MOST_IN_GRACE):
                return
            del held[connection]
            connection.close()
