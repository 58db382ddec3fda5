"""The HTTP server's own manners: what happens before our application sees a request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.error_responses import error_body

HEADER_BYTES = 64 * 1024  # of one request's line and headers
HEADER_SECONDS = 20.0  # in which they must have arrived
KEEP_ALIVE_SECONDS = 65  # longer than the usual proxy's 60, so that it is never us who closes first
GRACE_SECONDS = 3  # for running requests when the server is asked to stop


class TimeoutProtocol(HttpToolsProtocol):
    """Closes connections whose headers do not come, or do not end; speaks our error shape below the application too."""

    _deadline: asyncio.TimerHandle | None = None
    _head = 0  # bytes of the headers being read; -1 while a body is

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is not None:
            self._head += len(data)
        super().data_received(data)
        if self._deadline is not None and self._head > HEADER_BYTES:
            self._refuse(431, "The request's headers are too large.", "headers_too_large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_headers()

    def on_headers_complete(self) -> None:
        self._headers_came()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._headers_came()
        self._refuse(400, msg, "invalid_http")

    def _await_headers(self) -> None:
        if self._deadline is None:
            self._head = 0
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._headers_late)

    def _headers_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _headers_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._head:
            self._refuse(408, "The request's headers arrived too slowly.", "request_timeout")
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, status: int, message: str, code: str) -> None:
        """Answer and close, unless an earlier request on this connection is still being answered."""
        self._headers_came()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_raw(status, message, code))
        self.transport.close()


def _raw(status: int, message: str, code: str) -> bytes:
    body = json.dumps(error_body(status, message, code=code)).encode()
    reasons = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
    head = f"HTTP/1.1 {status} {reasons[status]}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


class _Server(uvicorn.Server):
    """Tells the application before it waits for running requests, so that those who only wait themselves end at once."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        context = getattr(app.state, "context", None) if isinstance(app, FastAPI) else None
        if context is not None:
            context.shutting_down = True
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """To be asked to stop and to have stopped is a success: the signal is not raised once more at the end."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def server(app: FastAPI, *, host: str, port: int, grace: int = GRACE_SECONDS) -> uvicorn.Server:
    """A server that is not running yet; `grace` in seconds. Logs go to whatever the process has set up."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=TimeoutProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
    )
    return _Server(config)
