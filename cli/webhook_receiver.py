"""A webhook receiver on loopback for the demo: it accepts nothing whose signature does not hold."""

from __future__ import annotations

import base64
import queue
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

LONGEST_BODY = 1 << 20


class Receiver:
    """Use as a context manager; `url` and `secret` are what a job's webhook needs."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/stenopool"

    def wait(self, seconds: float) -> dict[str, Any] | None:
        """The next verified event, or None when none comes."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="webhook receiver", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        verifier, events = Webhook(self.secret), self._events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(min(length, LONGEST_BODY))
                try:
                    event = verifier.verify(body, dict(self.headers.items()))
                except WebhookVerificationError:
                    self.send_error(401)
                    return
                self.send_response(204)
                self.end_headers()
                events.put(event)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: the demo tells what it received."""

        return Handler
