"""A webhook receiver on loopback that answers what it is told to, and remembers what it got."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`answers` are statuses for the next requests; when they are used up, 200. `files` are served to GET by path."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)  # when each of `got` came, by time.time()
    files: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """One that listens until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if len(body) < int(self.headers["content-length"]):
                self.close_connection = (
                    True  # its sender was killed while it sent: nobody would take that for a message
                )
                return
            receiver.at.append(time.time())
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self._answer(receiver.answers.pop(0) if receiver.answers else 200, b"thanks")

        def do_GET(self) -> None:
            receiver.at.append(time.time())
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, b""))
            found = receiver.files.get(self.path.partition("?")[0])
            self._answer(404 if found is None else 200, found or b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
