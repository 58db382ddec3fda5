"""A load balancer as they are in front of two APIs: it looks at readiness, keeps connections open, and passes a request that was
refused before it began on to the other server."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

from tests.e2e.stack import is_ready

LOOK_SECONDS = 0.2  # between two looks at a server's readiness
PATIENCE = 60.0  # seconds for an answer, and for a server to become ready
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")

Answer = tuple[int, list[tuple[str, str]], bytes]
Connections = dict[int, http.client.HTTPConnection]  # by port


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


class Balancer:
    """`told` counts what the servers did: `served`; `stopping`, a 503 with Retry-After on a connection that ends; `closed`, nobody
    listened there any more; `broken`, a connection ended in the middle, and nobody can know what has become of the request."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.told: Counter[str] = Counter()
        self.url = ""
        self._turns = cycle(ports)
        self._ready = dict.fromkeys(ports, True)
        self._changed = threading.Condition()
        self._ended = threading.Event()

    def pass_on(self, own: Connections, request: Request) -> Answer:
        """The answer of whoever takes the request; `own` are the connections of this client's thread."""
        while True:
            self._let_go(own)
            port = self._pick()
            try:
                answer = _ask(own, port, request)
            except ConnectionRefusedError:
                self._leave(port, "closed")
                continue
            except (OSError, http.client.HTTPException):
                self._leave(port, "broken")
                raise
            if not _is_stopping(answer):
                self.told["served"] += 1
                return answer
            own.pop(port).close()
            self._leave(port, "stopping")

    def watch(self) -> None:
        """Look which servers are ready, until `end`."""
        while not self._ended.wait(LOOK_SECONDS):
            for port in self._ready:
                ready = is_ready(port)
                with self._changed:
                    self._ready[port] = ready
                    self._changed.notify_all()

    def end(self) -> None:
        self._ended.set()

    def _pick(self) -> int:
        with self._changed:
            assert self._changed.wait_for(lambda: any(self._ready.values()), PATIENCE), "no server is ready"
            return next(port for port in self._turns if self._ready[port])

    def _let_go(self, own: Connections) -> None:
        """Of who is not ready; it waits for that."""
        for port in [port for port in own if not self._ready[port]]:
            own.pop(port).close()

    def _leave(self, port: int, why: str) -> None:
        with self._changed:
            self.told[why] += 1
            self._ready[port] = False


def _ask(own: Connections, port: int, request: Request) -> Answer:
    connection = own.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE))
    try:
        connection.request(request.method, request.path, request.body, request.headers)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    except BaseException:
        own.pop(port).close()
        raise


def _is_stopping(answer: Answer) -> bool:
    """Refused in the way that promises that nothing has begun."""
    status, headers, body = answer
    told = {name.lower(): value for name, value in headers}
    if status != http.HTTPStatus.SERVICE_UNAVAILABLE or b"server_stopping" not in body:
        return False
    assert told["retry-after"].isdigit()
    assert told["connection"] == "close"
    return True


@contextmanager
def balancing(ports: Sequence[int]) -> Iterator[Balancer]:
    """One that listens until the block ends."""
    balancer = Balancer(ports)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.own: Connections = {}

        def finish(self) -> None:
            super().finish()
            for connection in self.own.values():
                connection.close()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            try:
                status, told, data = balancer.pass_on(self.own, Request(self.command, self.path, body, headers))
            except (OSError, http.client.HTTPException) as error:
                status, told, data = 502, [], repr(error).encode()
            self.send_response_only(status)
            for name, value in told:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        balancer.url = f"http://127.0.0.1:{server.server_port}"
        threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,)),
            threading.Thread(target=balancer.watch),
        ]
        for thread in threads:
            thread.start()
        try:
            yield balancer
        finally:
            balancer.end()
            server.shutdown()
            for thread in threads:
                thread.join()
