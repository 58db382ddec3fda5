"""The outermost boxes of an MP4 (ISO/IEC 14496-12): is its index there, before anyone pays for what cannot be read?"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import DamagedMedia

MOST_BOXES = 10_000
HEADER_BYTES = 16  # of a box with a long size
_PLAIN = 8  # of any other


@dataclass(frozen=True, slots=True)
class Box:
    """An outer box: where it begins, where its content does, and where it says that it ends, beyond the file's end too."""

    name: bytes
    at: int
    content: int
    end: int


def check_complete(read: Callable[[int], bytes], size: int) -> None:
    """Raise DamagedMedia when the index is missing: without it nobody knows what the bytes of the sound mean.

    `read(offset)` gives the bytes there, HEADER_BYTES where the file has them; `size` is the file's. A recording that was
    written in pieces (moof) needs no index at its end: each piece can be read alone.
    """
    for box in boxes(lambda at, _: read(at), 0, size):
        if box.name == b"moof":
            return
        if box.name == b"moov":
            if box.end > size:
                raise DamagedMedia("The file is cut off: its end is missing, and with it some of its index (moov).")
            return
    raise DamagedMedia(
        "The file is cut off, or bytes of it are missing: its index (moov), which recorders write last, is not where it should be."
    )


def cut_index(read: Callable[[int, int], bytes], at: int, size: int) -> int | None:
    """Where the index of a piece begins that the file's end cuts off, of a recording written in pieces: ffmpeg would give up there,
    and at once, since it reads them all before any sound."""
    return next((box.at for box in boxes(read, at, size) if box.name == b"moof" and box.end > size), None)


def index_is_last(read: Callable[[int, int], bytes], at: int, size: int) -> bool:
    """Whether the sound comes before the index without which nobody knows what it means."""
    first = next((box.name for box in boxes(read, at, size) if box.name in (b"moov", b"mdat")), b"")
    return first == b"mdat"


def inside(read: Callable[[int, int], bytes], box: Box, *names: bytes) -> Box:
    """The first box of that name in it, and so on in that. Raises ValueError where there is none."""
    for name in names:
        found = next((one for one in boxes(read, box.content, box.end) if one.name == name), None)
        if found is None:
            raise ValueError
        box = found
    return box


def boxes(read: Callable[[int, int], bytes], at: int, size: int) -> Iterator[Box]:
    """Each outer box from `at` on, MOST_BOXES at most; it stops at what is no box."""
    for _ in range(MOST_BOXES):
        header = read(at, HEADER_BYTES)[:HEADER_BYTES]
        if at + _PLAIN > size or len(header) < _PLAIN:
            return
        length, name, long_length = struct.unpack(">I4sQ", header.ljust(HEADER_BYTES, b"\0"))
        content = at + (HEADER_BYTES if length == 1 else _PLAIN)
        if length == 1:
            length = long_length
        elif length == 0:  # up to the end of the file
            length = size - at
        if length < content - at:
            return
        yield Box(name, at, content, at + length)
        at += length
