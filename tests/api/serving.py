"""A real server on loopback, in a thread of this process."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.connection.server import server
from api.http.peers import Peers


@dataclass(frozen=True)
class Running:
    """Where it listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def connection(self, timeout: float = 20.0) -> Iterator[socket.socket]:
        """A bare connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            yield connection


@contextlib.contextmanager
def running(app: Any, peers: Peers | None = None) -> Iterator[Running]:
    """Serve `app` for as long as the block lasts."""
    serving = server(app, host="127.0.0.1", port=0, peers=peers)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not serving.started:
            assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield Running(serving.servers[0].sockets[0].getsockname()[1])
    finally:
        serving.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)
