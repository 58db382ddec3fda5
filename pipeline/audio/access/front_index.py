"""An MP4 whose index stands behind its sound, as recorders write it, in the order in which it can be read at once: index first.

The index names places in the file, which its own bytes move when they come first; so every place is written anew (ISO/IEC 14496-12,
`stco` and `co64`), wider where it has to be. All else in it passes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audio.access.entry import Span
from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4_boxes import Box, boxes
from pipeline.audio.step_budget import TooManySteps

_MOST_BYTES = 64 * 2**20  # of places in memory: a day of pieces of a tenth of a second takes 7
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl")  # one inside the other
_PLACES = {b"stco": ">u4", b"co64": ">u8"}  # each place is so wide
_WIDE = b"co64"
_COUNT = 8  # bytes before the first: version, flags, how many
_HEADER = 8  # bytes of a box whose length has 32 bits


@dataclass(frozen=True)
class Reordered:
    """`index` goes before the byte `before`; the bytes from `at` to `end`, where it stood, are left out, and those that are
    `dropped`."""

    index: tuple[Span, ...]
    before: int
    at: int
    end: int
    dropped: tuple[int, int]

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """What comes one after the other, of a file from `start` to `end`."""
        first, last = self.dropped
        kept = [
            piece
            for begin, stop in ((self.before, self.at), (self.end, end))
            for piece in ((begin, min(stop, first)), (max(begin, last), stop))
        ]
        return [(start, self.before), *self.index, *(piece for piece in kept if piece[0] < piece[1])]


def reordered(read: Read, start: int, size: int, dropped: tuple[int, int] | None = None) -> Reordered | None:
    """Of the MP4 that begins at `start`; None where it cannot be done: it is written in a way that is not known. Of the sound, the
    bytes that are `dropped` do not come. Raises what `read` raises, TooManySteps among it."""
    outer = list(boxes(read, start, size))
    index = next((box for box in outer if box.name == b"moov"), None)
    first = next((box.at for box in outer if box.name == b"mdat"), None)
    if index is None or first is None or index.end > size or any(box.name == b"moof" for box in outer):
        return None
    before = min(first, index.at)
    dropped = dropped or (size, size)
    for widest in (None, _WIDE):
        moved = _Index(read, (before - start, index.at - start), (dropped[0] - start, dropped[1] - start), widest)
        if spans := moved.spans(index):
            return Reordered(tuple(spans), before, index.at, index.end, dropped)
        if not moved.is_narrow:
            return None
    return None


class _Index:
    """An index that comes before the places that it names."""

    def __init__(self, read: Read, passed: tuple[int, int], dropped: tuple[int, int], widest: bytes | None) -> None:
        """It comes before the places that are `passed`, from there to there; those behind what is `dropped` come sooner. `widest`:
        the table that every one becomes."""
        self._read, self._passed, self._dropped, self._widest = read, passed, dropped, widest
        self._shift = self._grown = self._bytes = self._tables = 0
        self.is_narrow = False  # a table has no room for a place

    def spans(self, box: Box) -> list[Span]:
        """Of all of it; none where that cannot be."""
        try:
            self._shift = self._length(box)
            self._grown = self._shift - (box.end - box.at)
            found = self._written(box)
        except TooManySteps:
            raise
        except ValueError:
            return []
        return found if self._tables else []

    def _length(self, box: Box, depth: int = 0) -> int:
        if depth < len(_PATH) and box.name == _PATH[depth]:
            return _HEADER + sum(self._length(inner, depth + 1) for inner in self._inside(box))
        if depth < len(_PATH) or box.name not in _PLACES:
            return box.end - box.at
        return _HEADER + _COUNT + self._count(box) * _width(self._widest or box.name)

    def _written(self, box: Box, depth: int = 0) -> list[Span]:
        if depth < len(_PATH) and box.name == _PATH[depth]:
            inside = [span for inner in self._inside(box) for span in self._written(inner, depth + 1)]
            return [self._length(box, depth).to_bytes(4, "big") + box.name, *inside]
        return [(box.at, box.end)] if depth < len(_PATH) or box.name not in _PLACES else [self._table(box)]

    def _inside(self, box: Box) -> list[Box]:
        found = list(boxes(self._read, box.content, box.end))
        if found and found[-1].end > box.end:
            raise ValueError
        return found

    def _count(self, box: Box) -> int:
        """Of the places in a table."""
        count = int.from_bytes(self._read(box.content + 4, 4), "big")
        if box.content + _COUNT + count * _width(box.name) > box.end:
            raise ValueError
        return count

    def _table(self, box: Box) -> bytes:
        kind = np.dtype(_PLACES[box.name])
        length = self._count(box) * kind.itemsize
        self._tables, self._bytes = self._tables + 1, self._bytes + length
        if self._bytes > _MOST_BYTES:
            raise ValueError
        places = np.frombuffer(self._read(box.content + _COUNT, length), kind).astype(np.int64)
        moved = places + np.where(places >= self._passed[1], self._grown, 0)
        moved[(places >= self._passed[0]) & (places < self._passed[1])] += self._shift
        moved[places >= self._dropped[1]] -= self._dropped[1] - self._dropped[0]
        name = self._widest or box.name
        wanted = np.dtype(_PLACES[name])
        if len(moved) and moved.max() > np.iinfo(wanted).max:
            self.is_narrow = True
            raise ValueError
        table = self._read(box.content, 4) + len(moved).to_bytes(4, "big") + moved.astype(wanted).tobytes()
        return (_HEADER + len(table)).to_bytes(4, "big") + name + table


def _width(name: bytes) -> int:
    return np.dtype(_PLACES[name]).itemsize
