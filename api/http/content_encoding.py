"""Request bodies that come compressed: `Content-Encoding: gzip` or `deflate`, decoded as they are read.

Whoever reads counts decoded bytes against the limit it has anyway; here the growth is bounded, and each step's output.
"""

from __future__ import annotations

import zlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.error_responses import UnsupportedEncoding, render
from pipeline.errors import InvalidRequest

STEP = 64 * 1024  # bytes decoded at once
FREE = 1024 * 1024  # decoded bytes up to which any growth is taken
MOST_GROWTH = 100  # times, beyond that; deflate itself goes to a thousand
GZIP = zlib.MAX_WBITS + 16
_NAMES = {b"": b"", b"identity": b"", b"gzip": b"gzip", b"x-gzip": b"gzip", b"deflate": b"deflate"}
_LENGTHS = (b"content-encoding", b"content-length")


class ContentEncoding:
    """Stands where the caller is known. What reads below sees the decoded body, without its encoding and its length."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            told = [value for name, value in scope["headers"] if name == b"content-encoding"]
            if told:
                coding = _NAMES.get(b", ".join(told).strip().lower())
                if coding is None:
                    await render(UnsupportedEncoding())(scope, receive, send)
                    return
                scope["headers"] = [field for field in scope["headers"] if not (coding and field[0] in _LENGTHS)]
                receive = _Decoded(receive, coding) if coding else receive
        await self.app(scope, receive, send)


class _Decoded:
    """One request's `receive`. Raises InvalidRequest for what cannot be decoded, or grows without measure."""

    def __init__(self, receive: Receive, coding: bytes) -> None:
        self._receive = receive
        self._coding = coding
        self._decoder: zlib._Decompress | None = None
        self._held = b""  # come, and not yet decoded
        self._pending = False  # there is more to be had of what has come
        self._more = True  # to come
        self._read = self._made = 0  # bytes

    async def __call__(self) -> Message:
        while self._more or self._pending:
            if not self._pending:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._held, self._more = message.get("body", b""), message.get("more_body", False)
                self._read += len(self._held)
            data = self._decode() if self._held or self._pending else b""
            if data or not (self._more or self._pending):
                self._check()
                return {"type": "http.request", "body": data, "more_body": self._more or self._pending}
        return await self._receive()

    def _decode(self) -> bytes:
        if self._decoder is None:
            self._decoder = zlib.decompressobj(self._window())
        try:
            data = self._decoder.decompress(self._held, STEP)
        except zlib.error as error:
            raise self._broken("it is no such thing") from error
        if self._decoder.unused_data:
            raise self._broken("it goes on after its end")
        self._held = self._decoder.unconsumed_tail
        self._pending = bool(self._held) or len(data) == STEP
        self._made += len(data)
        return data

    def _window(self) -> int:
        if self._coding == b"gzip":
            return GZIP
        wrapped = self._held[0] & 0x0F == zlib.DEFLATED  # as it is defined; without the wrapper it is often sent
        return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS

    def _check(self) -> None:
        if self._made > max(FREE, MOST_GROWTH * self._read):
            raise self._broken(f"it grows more than {MOST_GROWTH} times when it is decoded; send it as it is")
        if self._read and not (self._more or self._pending) and not (self._decoder and self._decoder.eof):
            raise self._broken("it is cut off")

    def _broken(self, why: str) -> InvalidRequest:
        self._pending = self._more = False
        return InvalidRequest(f"The body says Content-Encoding: {self._coding.decode()}, but {why}.")
