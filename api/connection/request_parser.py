"""The bytes of a connection as requests: HTTP/1.1 (RFC 9112), and nothing that two readers could understand differently.

A proxy in front of us reads the same bytes. Whatever it might frame in another way than we do ends the connection: two
lengths, a length beside `chunked`, another coding, a folded line, a bare CR or LF, blanks around a header's name, a chunk's
size that is no plain number. `Upgrade` and `CONNECT` never change how bytes are read: what follows a head is its body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

CRLF = b"\r\n"
CHUNKED = -1  # in place of a body's length
HEADER_BYTES = 64 * 1024  # of one request's line and headers
MOST_FIELDS = 256  # header fields of one request
SIZE_LINE_BYTES = 256  # a chunk's size with its extensions
TRAILER_BYTES = 8 * 1024
LENGTH_DIGITS = 18

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]"
_REQUEST = re.compile(rb"(%b++) (/[\x21-\x7e]*+|https?://[\x21-\x7e]++|\*) HTTP/1\.([01])" % _TOKEN)
_FIELDS = re.compile(rb"(?:%b++:%b*+\r\n)*+" % (_TOKEN, _TEXT))
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*+;%b*+)?" % _TEXT)

_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding"})

Field = tuple[bytes, bytes]


class InvalidHttp(Exception):
    """The bytes are no request, or one that might be read in two ways."""


class HeadTooLarge(InvalidHttp):
    """The request has too many header fields."""


class Handler(Protocol):
    """Whom the parser tells."""

    def on_message_begin(self) -> None: ...
    def on_head(self, method: bytes, target: bytes, minor: bytes, fields: list[Field]) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class RequestParser:
    """One connection's. While it is `paused`, between two requests, it only collects. What `feed` raises is final."""

    def __init__(self, handler: Handler) -> None:
        self.paused = False
        self._handler = handler
        self._data = b""  # read, and not yet understood
        self._at = 0  # in it
        self._step: Callable[[], bool] = self._begin
        self._left = 0  # bytes of the body, or of the chunk
        self._trailers = 0

    @property
    def pending(self) -> int:
        """Bytes that wait here to be understood."""
        return len(self._data) - self._at

    def feed(self, data: bytes = b"") -> None:
        """Tell the handler what `data` completes. Raises InvalidHttp."""
        self._data = self._data + data if self._data else data
        while self._step():
            pass
        self._data, self._at = self._data[self._at :], 0

    def _begin(self) -> bool:
        while self._data.startswith(CRLF, self._at):  # RFC 9112, 2.2: left behind by the request before
            self._at += len(CRLF)
        if self.paused or self.pending < len(CRLF):
            return False
        self._handler.on_message_begin()
        return self._go_on(self._head)

    def _head(self) -> bool:
        block = self._until(CRLF + CRLF, HEADER_BYTES, HeadTooLarge)
        if block is None:
            return False
        line, _, rest = block.partition(CRLF)
        request = _REQUEST.fullmatch(line)
        if request is None or request[1] == b"CONNECT" or (request[2] == b"*" and request[1] != b"OPTIONS"):
            raise InvalidHttp("The request line is not valid.")
        fields = _fields(rest)
        self._left = _body_length(fields, request[3])
        self._handler.on_head(request[1], request[2], request[3], fields)
        if not self._left:
            return self._complete()
        return self._go_on(self._size if self._left == CHUNKED else self._content)

    def _content(self) -> bool:
        return self._take() and self._complete()

    def _size(self) -> bool:
        line = self._until(CRLF, SIZE_LINE_BYTES, InvalidHttp)
        if line is None:
            return False
        size = _SIZE.fullmatch(line)
        if size is None:
            raise InvalidHttp("A chunk's size is not valid.")
        self._left = int(size[1], 16)
        return self._go_on(self._chunk if self._left else self._trailer)

    def _chunk(self) -> bool:
        return self._take() and self._go_on(self._chunk_end)

    def _chunk_end(self) -> bool:
        if not CRLF.startswith(self._data[self._at : self._at + len(CRLF)]):
            raise InvalidHttp("A chunk is longer than its size.")
        if self.pending < len(CRLF):
            return False
        self._at += len(CRLF)
        return self._go_on(self._size)

    def _trailer(self) -> bool:
        """Trailer fields are checked and forgotten: nothing here may depend on them."""
        line = self._until(CRLF, TRAILER_BYTES, InvalidHttp)
        if line is None:
            return False
        self._trailers += 1
        if self._trailers > MOST_FIELDS:
            raise InvalidHttp("The trailer is too large.")
        _fields(line)
        return bool(line) or self._complete()

    def _take(self) -> bool:
        """Hand on what there is of the body; whether that was all of it."""
        part = self._data[self._at : self._at + self._left]
        self._at += len(part)
        self._left -= len(part)
        if part:
            self._handler.on_body(part)
        return not self._left

    def _until(self, end: bytes, most: int, too_long: type[InvalidHttp]) -> bytes | None:
        """What stands before `end`, once that is there. Raises `too_long`, and InvalidHttp for a line without CR."""
        found = self._data.find(end, self._at, self._at + most)
        if found < 0:
            if self.pending >= most:
                raise too_long(f"More than {most} bytes without an end.")
            if self._data.count(b"\n", self._at) != self._data.count(CRLF, self._at):
                raise InvalidHttp("A line ends without CR.")
            return None
        start, self._at = self._at, found + len(end)
        return self._data[start:found]

    def _complete(self) -> bool:
        self._trailers = 0
        self._step = self._begin
        self._handler.on_message_complete()
        return True

    def _go_on(self, step: Callable[[], bool]) -> bool:
        self._step = step
        return True


def _fields(block: bytes) -> list[Field]:
    """Names in lower case, values without the blanks around them."""
    if not block:
        return []
    block += CRLF
    if _FIELDS.fullmatch(block) is None:
        raise InvalidHttp("A header is not valid.")
    lines = block.split(CRLF)[:-1]
    if len(lines) > MOST_FIELDS:
        raise HeadTooLarge("The request has too many headers.")
    pairs = (line.partition(b":") for line in lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


def _body_length(fields: list[Field], minor: bytes) -> int:
    """Bytes, or CHUNKED. Raises InvalidHttp for anything but one plain statement."""
    framing = [field for field in fields if field[0] in _FRAMING]
    hosts = sum(name == b"host" for name, _ in framing)
    if hosts > 1 or (not hosts and minor == b"1"):
        raise InvalidHttp("A request has exactly one Host.")
    told = [field for field in framing if field[0] != b"host"]
    if not told:
        return 0
    (name, value), *others = told
    if others:
        raise InvalidHttp("The body's length is told more than once.")
    if name == b"content-length" and value.isdigit() and len(value) <= LENGTH_DIGITS:
        return int(value)
    if name == b"transfer-encoding" and value.lower() == b"chunked" and minor == b"1":
        return CHUNKED
    raise InvalidHttp("Content-Length is one plain number, Transfer-Encoding is 'chunked'.")
