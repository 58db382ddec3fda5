"""Ports for servers that tests start."""

import os
import socket
from itertools import count

_FIRST, _EACH, _BLOCKS = 10_000, 1000, 20
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next = count(os.getpid())


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that nobody gets before its server does.

    It is below those that the kernel gives to whoever connects, each worker of a run has a block of its own, and none is given
    out twice in a row: the server may take its time to bind it.
    """
    while True:
        port = _FIRST + _EACH * (_worker % _BLOCKS) + next(_next) % _EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
