"""A real server on loopback, in a thread of this process."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.connection.server import GRACE_SECONDS, server
from api.http.peers import Peers
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Running:
    """Where it listens."""

    port: int
    stop: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def connection(self, timeout: float = 60, source: str = "127.0.0.1") -> Iterator[socket.socket]:
        """A bare connection, from some address of loopback."""
        place = ("127.0.0.1", self.port)
        with socket.create_connection(place, timeout=timeout, source_address=(source, 0)) as connection:
            yield connection


@contextlib.contextmanager
def running(app: Any, peers: Peers | None = None, grace: int = GRACE_SECONDS, port: int = 0) -> Iterator[Running]:
    """Serve `app` for as long as the block lasts, or until it is stopped in it and has drained."""
    serving = server(app, host="127.0.0.1", port=port, grace=grace, peers=peers)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: serving.started or not thread.is_alive(), every=0.01)
        assert serving.started, "the server did not start"
        yield Running(serving.servers[0].sockets[0].getsockname()[1], partial(setattr, serving, "should_exit", True))
    finally:
        serving.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server did not stop"


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def until(connection: socket.socket, text: bytes) -> bytes:
    """What was received up to `text`."""
    got = b""
    while text not in got:
        part = connection.recv(65536)
        assert part, got
        got += part
    return got


def answered(connection: socket.socket) -> bytes:
    """One answer, framed by its Content-Length, and nothing behind it."""
    head, _, body = _up_to_head(connection).partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        part = connection.recv(65536)
        assert part, (head, body)
        body += part
    return head + b"\r\n\r\n" + body


def _up_to_head(connection: socket.socket) -> bytes:
    held = b""
    while b"\r\n\r\n" not in held:
        part = connection.recv(65536)
        assert part, held
        held += part
    return held
