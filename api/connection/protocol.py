"""One connection: whose requests come one after the other, each within its deadline, and are answered in that order."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from uvicorn._types import ASGISendEvent, HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.connection.account_bound import Place
from api.connection.descriptor_bound import DescriptorBound
from api.connection.discard import Discard
from api.connection.http_scope import asks_to_close, awaits_continue, http_scope
from api.connection.peer_bound import PeerBound
from api.connection.request_parser import HEADER_BYTES, Field, HeadTooLarge, InvalidHttp, RequestParser
from api.connection.slow_reader import SlowReader
from api.http.error_responses import error_body
from api.http.peers import Peer
from api.http.request_body import STRANGER
from api.http.request_middleware import HEALTH

HEADER_SECONDS = 20.0  # in which a request's line and headers must have arrived
REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class ResponseTransport:
    """What an answer is written to. Its end is the connection's only when the request has been read to its end, too."""

    def __init__(self, connection: TimeoutProtocol) -> None:
        self._connection = connection
        self.write = connection.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        """Nothing more will be written."""
        self._connection.end_of_answers()


class CloseDelimited(RequestResponseCycle):
    """An answer to HTTP/1.0, which knows no chunks: without a length it ends with the connection."""

    _is_open_ended = False

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            self._is_open_ended = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            self.chunked_encoding = False if self._is_open_ended else None
        elif message["type"] == "http.response.body" and self._is_open_ended:
            self.expected_content_length = len(message.get("body", b""))  # as long as it is
        await super().send(message)


class TimeoutProtocol(HttpToolsProtocol):
    """uvicorn's, with our parser: closes connections whose headers do not come, or do not end; speaks our error shape below
    the application too; begins a request only when the one before it has been answered."""

    _deadline: asyncio.TimerHandle | None = None
    _discard: Discard | None = None
    _reading = True  # what arrives is understood

    def __init__(self, *args: Any, bound: PeerBound, descriptors: DescriptorBound, **options: Any) -> None:
        super().__init__(*args, **options)
        self.requests = RequestParser(self)
        self._bound = bound
        self._descriptors = descriptors
        self._peer: Peer | None = None
        self._key_shown = False
        self._place = Place()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reader = SlowReader(self.loop, transport, transport.abort)
        self._descriptors.opened(self)
        self._peer = self._bound.opened(self, (self.client or ("", 0))[0])
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._bound.closed(self, self._peer)
        self._descriptors.closed(self)
        self._place.leave()
        self._reader.stop()
        self._headers_came()
        self._unset_keepalive_if_required()
        if self._discard is not None:
            self._discard.stop()
        super().connection_lost(exc)

    def has_key(self) -> bool:
        if self.cycle is not None:
            self._key_shown |= "key_shown" in self.cycle.scope["state"]
        return self._key_shown

    def is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def is_shielded(self) -> bool:
        if self.is_idle():
            return False
        scope = self.cycle.scope
        return scope["path"] in HEALTH or any(name == b"authorization" for name, _ in scope["headers"])

    def close(self) -> None:
        self.transport.abort()

    def end_after_answer(self) -> None:
        """The answer that is being made is the connection's last, and says so."""
        if not self.is_idle():
            self.cycle.keep_alive = False

    def write(self, data: bytes) -> None:
        self._reader.written += len(data)
        self.transport.write(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.watch()

    def data_received(self, data: bytes) -> None:
        if self._discard is not None:
            self._discard.count(len(data))
        self._feed(data)
        if self.requests.paused and self.requests.pending > HEADER_BYTES:
            self.flow.pause_reading()

    def _feed(self, data: bytes = b"") -> None:
        if not self._reading or self.transport.is_closing():
            return
        try:
            self.requests.feed(data)
        except HeadTooLarge as error:
            self._refuse(431, str(error), "headers_too_large")
        except InvalidHttp as error:
            self._refuse(400, f"This is no valid HTTP request. {error}", "invalid_http")

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        self._await_headers()

    def on_head(self, method: bytes, target: bytes, minor: bytes, fields: list[Field]) -> None:
        self._headers_came()
        self.has_key()  # of the request before
        state = {**self.app_state, "place": self._place}
        scope = {"server": self.server, "client": self.client, "scheme": self.scheme, "state": state}
        cycle = RequestResponseCycle if minor == b"1" else CloseDelimited
        self.cycle = cycle(
            scope=cast(HTTPScope, scope | http_scope(method, target, minor, fields)),
            transport=cast(asyncio.Transport, ResponseTransport(self)),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=awaits_continue(fields),
            keep_alive=minor == b"1" and not asks_to_close(fields),
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        self.cycle.more_body = False
        if self.cycle.response_complete:
            self._request_is_over()
        else:
            self.requests.paused = True
            self.cycle.message_event.set()

    def end_of_answers(self) -> None:
        """The connection's last answer has been written, whole or broken off."""
        if self.cycle.response_complete and self.cycle.more_body:
            self._half_close()
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self._peer is None:  # a trusted proxy's: the next request may be anybody's
            self._place.leave()
        self._reader.watch()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if not self.cycle.more_body:
            self._request_is_over()
            self._feed()
        elif self._discard is None:
            self._throw_away()

    def _request_is_over(self) -> None:
        """Asked and answered, both to the end."""
        if self._discard is not None:
            self._discard.stop()
            self._discard = None
        if not self.cycle.keep_alive:
            self.transport.close()
            return
        self.requests.paused = False
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _await_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._headers_late)

    def _headers_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _headers_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.requests.pending:
            self._refuse(408, "The request's headers arrived too slowly.", "request_timeout")
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, status: int, message: str, code: str) -> None:
        """Answer and close, unless this request has its answer, or part of it."""
        self._headers_came()
        self._reading = False
        cycle = self.cycle
        if cycle is not None and (cycle.more_body or not cycle.response_complete):
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        self.write(_raw(status, message, code))
        self._half_close()

    def _half_close(self) -> None:
        """Nothing more is said; what is said to us meanwhile is thrown away, within bounds."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._throw_away()

    def _throw_away(self) -> None:
        if self._discard is None:
            known = self.cycle.scope["state"].get("allowance", STRANGER) if self.cycle is not None else STRANGER
            self._discard = Discard(self.loop, self.transport.close, known)


def _raw(status: int, message: str, code: str) -> bytes:
    body = json.dumps(error_body(status, message, code=code)).encode()
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
