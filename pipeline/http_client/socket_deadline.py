"""Deadlines that hold for an HTTP client's connections.

The timeouts of a client are for each read: a server that sends one byte a second never runs into them. So the moment itself goes
down to the socket: `watch_over(client)` makes every connection of an httpx2 client take a `Deadline` where it expects seconds, and
wait for what is left of it and not longer. Another client keeps the same promise by asking `left()` before each read.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpcore2
import httpx2

from pipeline.resilience.deadline import Deadline

_SLICE = 65_536  # bytes written between two looks at the clock


def watch_over(client: httpx2.Client) -> None:
    """Make the client's connections, also those through a proxy, obey the Deadline in a request's timeouts."""
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore2.ConnectionPool):
            pool._network_backend = _Backend(pool._network_backend)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore2.NetworkStream:
        return _Stream(self._inner.connect_tcp(*arguments, **options))


class _Stream(httpcore2.NetworkStream):
    """A connection whose timeouts may be deadlines."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: Any = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: Any = None) -> None:
        view = memoryview(buffer)
        while view:
            self._inner.write(view[:_SLICE], _left(timeout, httpcore2.WriteTimeout))  # type: ignore[arg-type]
            view = view[_SLICE:]

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> httpcore2.NetworkStream:
        left = _left(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: Any, late: type[Exception]) -> float | None:
    try:
        return timeout.left() if isinstance(timeout, Deadline) else timeout
    except TimeoutError:
        raise late from None
