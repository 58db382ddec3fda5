"""A server on loopback that answers as badly as a test wants."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

Reply = Callable[[socket.socket], None]


@dataclass
class Request:
    """What a client sent."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """The running server. `replies` are used up one for each connection, the last one again and again."""

    port: int
    replies: list[Reply]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    hung_up: threading.Event = field(
        default_factory=threading.Event
    )  # it has closed a connection, the first or any later one

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def say(*parts: bytes) -> Reply:
    """Send these bytes, then close."""
    return lambda connection: [connection.sendall(part) for part in parts] and None


def http(status: int = 200, headers: str = "", body: bytes = b"") -> Reply:
    """A whole and honest HTTP answer, which also says that its sender hangs up: a client may be slow to see it go."""
    goodbye = "" if "connection: close" in headers.lower() else "Connection: close\r\n"
    return say(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{goodbye}{headers}\r\n".encode() + body)


def forever(head: bytes, again: bytes, pause: float) -> Reply:
    """Send `head`, then `again` at every `pause` seconds until the client hangs up."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(head)
        waiting = threading.Event()
        while not waiting.wait(pause):
            connection.sendall(again)

    return reply


def silence(connection: socket.socket) -> None:
    """Say nothing until the client hangs up."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


def plain_text(connection: socket.socket) -> None:
    """Answer whatever comes, a greeting of TLS for instance, in plain HTTP. To be served with `greets` False."""
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    silence(connection)


def reset(connection: socket.socket) -> None:
    """Hang up without a goodbye (RST)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@contextmanager
def scripted(*replies: Reply, tls: ssl.SSLContext | None = None, greets: bool = True) -> Iterator[Scripted]:
    """Serve `replies`. With `greets` False a connection is answered before anything is read from it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(listener.getsockname()[1], list(replies))
        threads = [threading.Thread(target=partial(_accept, listener, server, tls, greets), daemon=True)]
        threads[0].start()
        try:
            yield server
        finally:
            server.over.set()
            with suppress(OSError), socket.create_connection(("127.0.0.1", server.port)):
                pass
            threads[0].join(60)


def _accept(listener: socket.socket, server: Scripted, tls: ssl.SSLContext | None, greets: bool) -> None:
    while True:
        connection, _ = listener.accept()
        if server.over.is_set():
            connection.close()
            return
        server.connections += 1
        reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
        threading.Thread(target=_serve, args=(connection, server, reply, tls, greets), daemon=True).start()


def _serve(connection: socket.socket, server: Scripted, reply: Reply, tls: ssl.SSLContext | None, greets: bool) -> None:
    with suppress(OSError), connection:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        if greets:
            server.requests.append(_read(connection))
        with connection:
            reply(connection)
    server.hung_up.set()


def _read(connection: socket.socket) -> Request:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or _hung_up()
    head, _, body = received.partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in rest)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536) or _hung_up()
    return Request(line, headers, body)


def _hung_up() -> bytes:
    raise ConnectionError
