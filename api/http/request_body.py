"""How a request's body is read: never faster than it is used, never slower than is bearable, never for nothing.

`BodyGuard` stands between the server and everything that reads. It cuts off clients that send (almost) nothing, and
says how much may still be thrown away when an answer goes out before the body has been read: a client that is still sending
would otherwise see a broken connection instead of the answer (contract.md section 6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.error_responses import BodyTooLarge, ClientGone, RequestTimeout
from api.http.unknown_names import check_body
from infra.requests.json_text import parsed

PROGRESS = 4096  # bytes; a client that sends less than this within the read timeout is as good as silent
GLANCE, GLANCE_SECONDS = (
    64 * 1024,
    0.05,
)  # what is about to arrive anyway is taken first, so that the connection can go on
LEAST_RATE = 512  # bytes a second, below which a body is not even thrown away
UPLOADS = frozenset(
    {
        "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/jobs", "/v1/audio/estimates",
        "/v1/files", "/v1/uploads/{upload_id}/parts", "/asr", "/detect-language",
    }
)  # fmt: skip
JSON_LIMIT = 1024 * 1024  # bytes
LONG_JSON = 64 * 1024  # bytes: what is longer is not read on the event loop


@dataclass(frozen=True)
class Allowance:
    """What may still arrive of a body that nobody reads: `total` bytes in `seconds`; with `least`, as long as so many bytes
    arrive in each `seconds`."""

    total: int
    seconds: float
    least: int = 0


STRANGER = Allowance(64 * 1024, 1.0)


class _Body:
    """One request's `receive`, watched."""

    def __init__(self, receive: Receive, headers: Headers, patience: float) -> None:
        self._receive = receive
        self._patience = patience
        self._waited = 0.0  # seconds spent waiting since the last PROGRESS bytes; our own work does not count
        self._since = 0
        self.invited = headers.get("expect", "").lower() != "100-continue"
        self.finished = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self.stalled = False

    async def __call__(self) -> Message:
        self.invited = True
        if self.finished:
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, self._patience - self._waited)):
                message = await self._receive()
        except TimeoutError:
            self.stalled = True
            raise RequestTimeout from None
        self._count(len(message.get("body", b"")), time.monotonic() - began)
        self.finished = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    def _count(self, size: int, waited: float) -> None:
        self._waited += waited
        self._since += size
        if self._since >= PROGRESS:
            self._since, self._waited = 0, 0.0

    async def drain(self, limit: int) -> None:
        """Read and forget up to `limit` bytes, unless the client waits for our word before it sends any."""
        while limit > 0 and self.invited and not self.finished and not self.stalled:
            try:
                message = await self()
            except RequestTimeout:
                return
            limit -= len(message.get("body", b""))


class BodyGuard:
    """Read deadline, and what may be thrown away of a body that nobody reads: up to `drain` bytes of a key holder's upload."""

    def __init__(self, app: ASGIApp, *, patience: float, drain: int) -> None:
        self.app = app
        self.patience = patience
        self.upload = Allowance(drain, patience, round(LEAST_RATE * patience))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, Headers(scope=scope), self.patience)
        await self.app(scope, body, EarlyResponse(send, body, scope, self.upload))


class EarlyResponse:
    """One request's `send`. A refusal that goes out before the body was read is sent whole and at once, and says that the
    connection will be closed; the connection itself then throws the body away within an allowance, and nobody waits for it here
    (api/connection/discard.py)."""

    def __init__(self, send: Send, body: _Body, scope: Scope, upload: Allowance) -> None:
        self._send = send
        self._body = body
        self._scope = scope
        self._upload = upload

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        await self._send(message)

    async def _begin(self, message: Message) -> None:
        if message["status"] < HTTPStatus.BAD_REQUEST or self._body.finished:
            return
        await _within(GLANCE_SECONDS, self._body.drain(GLANCE))
        if self._body.finished:
            return
        MutableHeaders(scope=message)["connection"] = "close"
        if "principal" in self._scope["state"] and _takes_uploads(self._scope["path"]) and self._body.invited:
            self._scope["state"]["allowance"] = self._upload


def _takes_uploads(path: str) -> bool:
    return path in UPLOADS or (path.startswith("/v1/uploads/") and path.endswith("/parts"))


async def _within(seconds: float, waiting: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return


async def blocks(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises ClientGone when it ends too early, RequestTimeout when it does not arrive."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


def holder(request: Request) -> Callable[[int], None]:
    """Is told how many bytes more of the body are kept in memory. Raises ServerBusy where the account has no room for them."""
    slot = getattr(request.state, "slot", None)
    hold: Callable[[int], None] = slot.hold if slot is not None else _uncounted
    return hold


def _uncounted(_: int) -> None:
    """Nobody has a slot where nobody is let in by a key."""


async def read_json(request: Request, *, limit: int = JSON_LIMIT, empty: Any = None, number: Any = float) -> Any:
    """The body as JSON; `empty` stands for no body at all; `number` makes fractions of their digits: Decimal where they
    are money. Raises BodyTooLarge, TooManyElements; InvalidRequest for what is no JSON, and for misspelt fields."""
    content, hold = bytearray(), holder(request)
    async for block in blocks(request):
        content += block
        if len(content) > limit:
            raise BodyTooLarge(f"The JSON body is larger than {limit} bytes.")
        hold(len(block))
    if not content and empty is not None:
        return empty
    parse = partial(parsed, bytes(content), number=number)
    value = parse() if len(content) <= LONG_JSON else await anyio.to_thread.run_sync(parse)
    check_body(request, value)
    return value
