"""A file out of which a stretch of bytes is missing, as long as it was: its index names places, and those behind the stretch hold
again. Nobody knows what stood there, so that zeros stand for it, which a decoder passes over as over any damage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from pipeline.audio.access.open_source import OpenSource

_BLOCK = 1 << 20  # bytes of zeros at once

Missing = tuple[int, int]  # before which byte of the file, and how many


class Restored(OpenSource):
    """What is left of a file, with what is missing in it, in the order of the file. Whoever opened that closes it."""

    def __init__(self, left: OpenSource, missing: Sequence[Missing]) -> None:
        counts = [count for _, count in missing]
        self.size = left.size + sum(counts)
        self._left = left
        starts = [at + before for (at, _), before in zip(missing, accumulate(counts, initial=0), strict=False)]
        self._gone = [(start, start + count) for start, count in zip(starts, counts, strict=True)]

    def read(self, offset: int, length: int) -> bytes:
        """As of the whole file."""
        return b"".join(self.blocks(offset, min(offset + length, self.size))) if 0 <= offset < self.size else b""

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """As of the whole file."""
        before = 0
        for first, last in [*self._gone, (self.size, self.size)]:
            if start < min(first, end):
                yield from self._left.blocks(start - before, min(first, end) - before)
                start = min(first, end)
            while start < min(last, end):
                length = min(_BLOCK, min(last, end) - start)
                yield bytes(length)
                start += length
            before += last - first

    def close(self) -> None:
        """Nothing is held."""
