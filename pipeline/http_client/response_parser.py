"""An HTTP/1.1 answer out of the bytes of a connection, head first, then block by block.

The parser is llhttp, by way of httptools; the standard library reads a head with its parser of e-mails, which is slow.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import httptools

_LARGEST_HEAD = 256 * 1024  # bytes
_LARGEST_BLOCK = 1024 * 1024  # bytes that a compressed block may become at once
_INFORMATIONAL = range(100, 200)
_ANY_ZLIB = zlib.MAX_WBITS | 32  # gzip's or zlib's own wrapping, whichever it is
_PLAIN, _COMPRESSED = ("", "identity"), ("gzip", "x-gzip", "deflate")


class ResponseBroken(ConnectionError):
    """What came is no answer, or not the whole of one."""


class ResponseUnreadable(ValueError):
    """The body is packed in a way that nobody asked for and we do not know, or not as it says."""


class Response:
    """`status_code` and `headers`, whose names are in lower case; of a header that comes twice the values are joined.

    `read` returns the next bytes of the connection, none once the server has hung up.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        """Read the head. Raises ResponseBroken, and what `read` raises."""
        self._read = read
        self._parser = httptools.HttpResponseParser(self)
        self._blocks: list[bytes] = []
        self._began = self._complete = self._ended = False
        self.surplus = False  # more came than was asked for
        self._keep = False
        self.status_code = 0
        self.headers: dict[str, str] = {}
        came = 0
        while not self.status_code:
            came += self._feed()
            if came > _LARGEST_HEAD and not self.status_code:
                raise ResponseBroken("The head does not end.")

    @property
    def reusable(self) -> bool:
        """Whether its connection may carry another one."""
        return self._ended and self._keep and not self.surplus

    def close(self) -> None:
        """Nothing more is read. The parser and we hold each other: apart, both go at once, without the collector."""
        del self._parser

    def iter_bytes(self) -> Iterator[bytes]:
        """The body. Raises ResponseBroken where it is cut off, ResponseUnreadable."""
        packing = self.headers.get("content-encoding", "").strip().lower()
        if packing in _PLAIN:
            return self._body()
        if packing in _COMPRESSED:
            return _unpacked(self._body())
        raise ResponseUnreadable("packed in an unknown way")

    def _body(self) -> Iterator[bytes]:
        while True:
            blocks, self._blocks = self._blocks, []
            yield from blocks
            if self._complete and not self._blocks:
                self._ended = True
                return
            self._feed()

    def _feed(self) -> int:
        data = self._read()
        if not data:
            self._hung_up()
            return 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._complete:
                raise ResponseBroken("Not HTTP.") from error
            self.surplus = True
        return len(data)

    def _hung_up(self) -> None:
        """The end of an answer that has no other; anywhere else something is missing."""
        bounded = "content-length" in self.headers or "transfer-encoding" in self.headers
        if not self.status_code or bounded:
            raise ResponseBroken("The answer was cut off.")
        self._complete = self.surplus = True

    # What the parser calls.

    def on_message_begin(self) -> None:
        self.surplus = self.surplus or self._began
        self._began = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.surplus:
            return
        key, told = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {told}" if key in self.headers else told

    def on_headers_complete(self) -> None:
        if self.surplus:
            return
        status = self._parser.get_status_code()
        if status in _INFORMATIONAL:
            self.headers.clear()
        else:
            self.status_code = status
            self._keep = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self.surplus:
            self._blocks.append(body)

    def on_message_complete(self) -> None:
        if self.status_code:
            self._complete = True
        else:  # an informational one: the answer itself is still to come
            self._began = False


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_ANY_ZLIB)
    try:
        for block in blocks:
            yield unpacker.decompress(block, _LARGEST_BLOCK)
            while rest := unpacker.unconsumed_tail:
                yield unpacker.decompress(rest, _LARGEST_BLOCK)
        yield unpacker.flush()
    except zlib.error as error:
        raise ResponseUnreadable("not packed as it says") from error
    if not unpacker.eof:
        raise ResponseBroken("The packed body was cut off.")
