"""A file out of which bytes are missing, with others in their place: as many zeros where an index names places, so that those
behind hold again and a decoder passes over them as over any damage; or a header without which nobody knows when what follows is
played. Or with other lengths in its header, where that ends it too soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from pipeline.audio.access.open_source import OpenSource

_BLOCK = 1 << 20  # bytes at once

Missing = tuple[int, int | bytes]  # before which byte of the file, and how many zeros or what


class Restored(OpenSource):
    """What is left of a file, with what is missing in it, in the order of the file. Whoever opened that closes it."""

    def __init__(self, left: OpenSource, missing: Sequence[Missing]) -> None:
        counts = [gone if isinstance(gone, int) else len(gone) for _, gone in missing]
        self.size = left.size + sum(counts)
        self._left = left
        starts = [at + before for (at, _), before in zip(missing, accumulate(counts, initial=0), strict=False)]
        self._gone = [
            (start, start + count, b"" if isinstance(gone, int) else gone)
            for start, count, (_, gone) in zip(starts, counts, missing, strict=True)
        ]
        self.put_in = [(start, end) for start, end, _ in self._gone]

    def read(self, offset: int, length: int) -> bytes:
        """As of the whole file."""
        return b"".join(self.blocks(offset, min(offset + length, self.size))) if 0 <= offset < self.size else b""

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """As of the whole file."""
        before = 0
        for first, last, instead in [*self._gone, (self.size, self.size, b"")]:
            if start < min(first, end):
                yield from self._left.blocks(start - before, min(first, end) - before)
                start = min(first, end)
            while start < min(last, end):
                length = min(_BLOCK, min(last, end) - start)
                yield instead[start - first : start - first + length] or bytes(length)
                start += length
            before += last - first

    def close(self) -> None:
        """Nothing is held."""


class Amended(OpenSource):
    """A file in whose headers other bytes should stand: so many in their place. Whoever opened it closes it."""

    def __init__(
        self, left: OpenSource, changes: Sequence[tuple[int, bytes]], told_end: tuple[int, float] | None = None
    ) -> None:
        self.size, self.put_in, self.told_end = left.size, left.put_in, told_end
        self._left, self._changes = left, changes

    def read(self, offset: int, length: int) -> bytes:
        """As it should be."""
        return self._amended(offset, self._left.read(offset, length))

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """As they should be."""
        for block in self._left.blocks(start, end):
            yield self._amended(start, block)
            start += len(block)

    def _amended(self, at: int, data: bytes) -> bytes:
        end = at + len(data)
        for place, instead in self._changes:
            first, last = max(at, place), min(end, place + len(instead))
            if first < last:
                data = data[: first - at] + instead[first - place : last - place] + data[last - at :]
        return data

    def close(self) -> None:
        """Nothing is held."""
