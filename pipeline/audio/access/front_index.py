"""An MP4 whose index stands behind its sound, as recorders write it, in the order in which it can be read at once: index first.

The index names places in the file, which its own bytes move when they come first; so every place is written anew (ISO/IEC 14496-12,
`stco` and `co64`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4_boxes import Box, boxes

_MOST_BYTES = 64 * 2**20  # of an index in memory: ten hours take some seven
_PATH = (b"trak", b"mdia", b"minf", b"stbl")
_PLACES = {b"stco": ">u4", b"co64": ">u8"}  # each place is so wide
_COUNT = 8  # bytes before the first: version, flags, how many


@dataclass(frozen=True)
class Reordered:
    """`index` goes before the byte `before`; the bytes from `at` to `end`, where it stood, are left out."""

    index: bytes
    before: int
    at: int
    end: int

    def spans(self, start: int, end: int) -> Sequence[bytes | tuple[int, int]]:
        """What comes one after the other, of a file from `start` to `end`: bytes, or those from here to there."""
        return [(start, self.before), self.index, (self.before, self.at), (self.end, end)]


def reordered(read: Read, start: int, size: int) -> Reordered | None:
    """Of the MP4 that begins at `start`; None where it cannot be done: it is too large, or written in a way that is not known."""
    outer = {box.name: box for box in boxes(read, start, size)}
    moov, mdat = outer.get(b"moov"), outer.get(b"mdat")
    if not moov or not mdat or b"moof" in outer or moov.end > size or moov.end - moov.at > _MOST_BYTES:
        return None
    first = min(box.at for box in boxes(read, start, size) if box.name == b"mdat")
    index = bytearray(read(moov.at, moov.end - moov.at))
    tables = list(_tables(index, moov.content - moov.at))
    if not tables or any(not _move(index, table, first - start, moov.at - start) for table in tables):
        return None
    return Reordered(bytes(index), first, moov.at, moov.end)


def _tables(index: bytearray, content: int) -> Iterator[Box]:
    """Every table of places."""

    def read(at: int, length: int) -> bytes:
        return bytes(index[at : at + length])

    inside = [(content, len(index))]
    for name in _PATH:
        inside = [(box.content, box.end) for at, end in inside for box in boxes(read, at, end) if box.name == name]
    for at, end in inside:
        yield from (box for box in boxes(read, at, end) if box.name in _PLACES)


def _move(index: bytearray, table: Box, first: int, last: int) -> bool:
    """Move the places from `first` to `last` by the length of the index; False where they have no room, or are not there."""
    kind = np.dtype(_PLACES[table.name])
    begin = table.content + _COUNT
    end = begin + int.from_bytes(index[begin - 4 : begin], "big") * kind.itemsize
    if end > min(table.end, len(index)):
        return False
    places = np.frombuffer(bytes(index[begin:end]), kind)
    moved = places.astype(np.uint64)
    moved[(places >= first) & (places < last)] += len(index)
    if len(moved) and moved.max() > np.iinfo(kind).max:
        return False
    index[begin:end] = moved.astype(kind).tobytes()
    return True
