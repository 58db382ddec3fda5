"""How many connections the process may hold at all: as many as its file descriptors allow beside its own work. For one more than
that the oldest goes that is idle and has shown no key."""

from __future__ import annotations

import resource
from collections import OrderedDict
from itertools import islice
from typing import Protocol

ENDLESS = 1 << 20  # descriptors, where the limit is none; Linux has no more by default
RESERVED = 1024  # for the database, Redis, storage, files and pipes of running requests
RESERVED_SHARE = 4  # and of a small limit, one part of so many
LOOKED_AT = 64  # connections that one more is worth


class Connection(Protocol):
    """What is bounded."""

    def has_key(self) -> bool:
        """Whether a valid key was shown on it."""

    def is_idle(self) -> bool:
        """Whether nothing is being asked on it."""

    def close(self) -> None:
        """At once."""


def raise_limit() -> None:
    """Let this process open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENDLESS if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_within() -> int:
    """How many connections the process' limit leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENDLESS if soft == resource.RLIM_INFINITY else soft
    return most - min(RESERVED, most // RESERVED_SHARE)


class DescriptorBound:
    """One process'."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._keyless: OrderedDict[Connection, None] = OrderedDict()  # as far as is known, the oldest first

    def opened(self, connection: Connection) -> None:
        """Makes room for it; where nobody can go, itself is closed."""
        self._open += 1
        self._keyless[connection] = None
        if self._open > self._most:
            (self._oldest() or connection).close()

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self._open -= 1
        self._keyless.pop(connection, None)

    def _oldest(self) -> Connection | None:
        """Those with a key are no longer looked at; the busy ones have their turn again after all others."""
        for connection in list(islice(self._keyless, LOOKED_AT)):
            if connection.has_key():
                del self._keyless[connection]
            elif connection.is_idle():
                del self._keyless[connection]
                return connection
            else:
                self._keyless.move_to_end(connection)
        return None
