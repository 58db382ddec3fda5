"""`--metrics HOST:PORT`: a second listener of a process, for its operator alone. It asks for no key; whoever can reach it can read.

`GET /metrics` is for Prometheus, `GET /status` says in JSON what /readyz only sums up. Both are answered by threads of their own:
a process that is busy, or an event loop that stands, still tells how it is.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.registry import Collector

from infra.metrics import MEDIA_TYPE, counted_by
from infra.monitoring.parts import status_of
from infra.wiring import Services
from pipeline.errors import InvalidRequest, WrongState

PATIENCE = 10.0  # seconds for a request to arrive, and for its answer to be taken
Page = tuple[str, bytes]  # its media type and content


class Address(NamedTuple):
    """Where it listens."""

    host: str
    port: int


def address_of(text: str) -> Address:
    """Of `127.0.0.1:9100` or `[::1]:9100`. Raises InvalidRequest."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise InvalidRequest(f"--metrics {text}: an address and a port are needed, such as 127.0.0.1:9100.")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


class MonitoringListener:
    """Bound when it is made, so that a port that is taken is told at once; answers from `start` on.

    `services` gives those of the process, None where there are none (yet): then it tells of the process itself, its memory,
    descriptors and processor time. `counters` are those of others that it tells besides. Raises WrongState when it cannot listen
    there.
    """

    def __init__(
        self,
        address: Address,
        role: str,
        services: Callable[[], Services | None],
        counters: Collector | None = None,
    ) -> None:
        self._pages: Mapping[str, Callable[[], Page]] = {
            "/metrics": lambda: (MEDIA_TYPE, _metrics(role, services(), counters)),
            "/status": lambda: ("application/json", json.dumps(status_of(role, services())).encode()),
        }
        try:
            self._server = _Server((address.host, address.port), partial(_Handler, self._pages))
        except OSError as error:
            place = f"{address.host} port {address.port}"
            raise WrongState(
                f"cannot listen on {place}: {error.strerror or error}; choose another with --metrics"
            ) from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer, in a thread that keeps no process from ending."""
        threading.Thread(target=self._server.serve_forever, name="monitoring", daemon=True).start()

    def close(self) -> None:
        """Answer no more; after `start`."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE

    def __init__(self, pages: Mapping[str, Callable[[], Page]], *given: Any) -> None:
        self._pages = pages
        super().__init__(*given)

    def do_GET(self) -> None:
        """One of the pages."""
        page = self._pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(404, "text/plain", f"Here are {' and '.join(self._pages)}.\n".encode())
        else:
            self._answer(200, *page())

    def _answer(self, status: int, media_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Whoever measures asks all the time."""


def _metrics(role: str, services: Services | None, counters: Collector | None) -> bytes:
    page = generate_latest(REGISTRY)
    if counters is not None:
        page += counted_by(role, counters)
    if services is not None:
        page += services.metrics.render(services.jobs, services.queue, services.webhooks, services.workers, role)
    return page
