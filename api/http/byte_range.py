"""Which part of a file is asked for (RFC 9110, 14): one range of bytes; whoever asks for several at once gets the whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

from api.http.error_responses import RangeNotSatisfiable

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """From `start` up to, not including, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Bytes."""
        return self.end - self.start


def asked_range(headers: Headers, size: int, etag: str) -> ByteRange | None:
    """The part of `size` bytes; None: all of them. Raises RangeNotSatisfiable for one that lies behind them.

    A range of another version than `etag` (If-Range) is no range, nor is one that nobody can read.
    """
    asked = _ONE.fullmatch(headers.get("range", "").strip())
    if asked is None or headers.get("if-range", etag) != etag or asked[0].endswith("=-"):
        return None
    first, last = asked.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    if start >= size:
        raise RangeNotSatisfiable(f"The range begins behind the end: there are {size} bytes.", size=size)
    return ByteRange(start, min(size, int(last) + 1) if first and last else size)
