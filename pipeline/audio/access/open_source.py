"""An open recording: bytes to look at, and a way for ffmpeg to have them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from pipeline.audio.access.front_index import Reordered, reordered
from pipeline.audio.access.remote import RANGE_BYTES, Ranges, Remote
from pipeline.audio.containers.table import CAF, MP3, MP4, OGG, WAVPACK, Found
from pipeline.audio.mp4_boxes import index_is_last

# What ffmpeg reads worse from a pipe, where it cannot look at the end first: the padding behind the last sample, the length, the
# table of packets.
_BLOCK = 64 * 1024  # bytes
_WANTS_LEAPS = (MP3, OGG, WAVPACK, CAF)


class OpenSource(ABC):
    """What a decoding reads from. Close it."""

    size: int

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Bytes of it: none behind its end, wherever a header may point."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""

    def descriptor(self) -> int | None:
        """A file at its beginning for ffmpeg to read; None: it gets `passing` through a pipe."""
        return None

    def is_at_hand(self, _end: int) -> bool:
        """Whether all bytes up to there can be read in any order, and nobody waits for them."""
        return True

    def passing(self, found: Found, end: int) -> Iterator[bytes]:
        """All bytes of what was found, up to `end`, 0 for its own, in an order in which they can be read at once."""
        at, stop = found.start, end or self.size
        while data := self.read(at, min(_BLOCK, stop - at)) if at < stop else b"":
            yield data
            at += len(data)

    def passes(self, _found: Found) -> bool:
        """Whether it is decoded as it should be."""
        return True


def without(blocks: Iterable[bytes], at: int, left_out: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """What follows each other from the byte `at` on, but for those from here to there, which go forward."""
    rest = deque(left_out)
    for block in blocks:
        end = at + len(block)
        while rest and rest[0][0] < end:
            start, stop = rest[0]
            if start > at:
                yield block[at - end : start - end]
            at = max(at, min(stop, end))
            if stop > end:
                break
            rest.popleft()
        if at < end:
            yield block[at - end :]
        at = end


class OpenFile(OpenSource):
    """A file by its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset) if 0 <= offset < self.size else b""

    def descriptor(self) -> int:
        os.lseek(self._descriptor, 0, os.SEEK_SET)  # the place in the file is shared with the ffmpeg before
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class OpenRemote(OpenSource):
    """What lies elsewhere."""

    def __init__(self, remote: Remote) -> None:
        self._remote, self._ranges = remote, Ranges(remote)
        self._orders: dict[int, Reordered | None] = {}  # by where the MP4 begins
        self.size = remote.size

    def read(self, offset: int, length: int) -> bytes:
        return self._ranges.read(offset, length) if 0 <= offset < self.size else b""

    def is_at_hand(self, end: int) -> bool:
        """Its first range has been looked at before."""
        return end <= RANGE_BYTES

    def passing(self, found: Found, end: int) -> Iterator[bytes]:
        stop = end or self.size
        order = self._order(found) if self._is_index_last(found) else None
        for span in order.spans(found.start, stop) if order else [(found.start, stop)]:
            if isinstance(span, bytes):
                yield span
            else:
                yield from self._bytes(*span)

    def passes(self, found: Found) -> bool:
        return found.container not in _WANTS_LEAPS and (
            not self._is_index_last(found) or self._order(found) is not None
        )

    def _is_index_last(self, found: Found) -> bool:
        return found.container is MP4 and index_is_last(self.read, found.start, self.size)

    def _order(self, found: Found) -> Reordered | None:
        if found.start not in self._orders:
            self._orders[found.start] = reordered(self.read, found.start, self.size)
        return self._orders[found.start]

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        left = end - start
        if left <= 0:
            return
        for block in self._remote.blocks(start):
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return

    def close(self) -> None:
        """Nothing is held."""
