"""An open recording: bytes to look at, and a way for ffmpeg to have them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from pipeline.audio.access.entry import Entry, Span
from pipeline.audio.access.reading_order import in_order
from pipeline.audio.access.remote import RANGE_BYTES, Ranges, Remote
from pipeline.audio.access.scratch import scratch, write_all
from pipeline.audio.containers.table import Found
from pipeline.audio.joined.voc_parts import Part
from pipeline.audio.step_budget import StepBudget, TooManySteps, refusal

_FRONT, _BACK = 8 * 2**20, 4 * 2**20  # bytes that ffmpeg looks at before it says what a file is, and how long


class OpenSource(ABC):
    """What a decoding reads from. Close it. `put_in`: from where to where its bytes stand for others that are missing. `told_end`:
    of the recording that begins at this byte, the second at which its header ended it, before that was mended. `voc_parts`:
    of the VOC in it, if some of its blocks were mended."""

    size: int
    put_in: Sequence[tuple[int, int]] = ()
    told_end: tuple[int, float] | None = None
    voc_parts: Sequence[Part] = ()

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Bytes of it: none behind its end, wherever a header may point."""

    @abstractmethod
    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """All bytes from there to there."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""

    def descriptor(self) -> int | None:
        """A file at its beginning for ffmpeg to read; None: it gets `passing` through a pipe."""
        return None

    def ends(self) -> int | None:
        """A file of the same size with the same front and back, for ffmpeg to say what it is; None where there is a whole one.
        Close it."""
        return None

    def is_at_hand(self, _end: int) -> bool:
        """Whether all bytes up to there can be read in any order, and nobody waits for them."""
        return True

    def passing(self, found: Found, end: int, entry: Entry | None = None) -> Iterator[bytes]:
        """All bytes of what was found, up to `end`, 0 for its own, in an order in which they can be read at once; or from the entry
        on."""
        for span in self.order(found, end, entry):
            if isinstance(span, bytes):
                yield span
            else:
                yield from self.blocks(*span)

    def order(self, found: Found, end: int, entry: Entry | None = None) -> Sequence[Span]:
        """What passes. Raises UnsupportedMedia where there is no such order, or it takes too many steps to find."""
        stop = end or self.size
        if entry:
            return [*entry.head, (entry.at, stop if entry.end is None else entry.end)]
        try:
            return in_order(StepBudget.for_file().counted(self.read), found, stop, self.size)
        except TooManySteps as error:
            raise refusal() from error


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

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        while start < end and (block := self.read(start, min(RANGE_BYTES, end - start))):
            yield block
            start += len(block)

    def descriptor(self) -> int:
        os.lseek(self._descriptor, 0, os.SEEK_SET)  # the place in the file is shared with the ffmpeg before
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class OpenRemote(OpenSource):
    """What lies elsewhere."""

    def __init__(self, remote: Remote) -> None:
        self._remote, self._ranges = remote, Ranges(remote)
        self.size = remote.size

    def read(self, offset: int, length: int) -> bytes:
        return self._ranges.read(offset, length) if 0 <= offset < self.size else b""

    def is_at_hand(self, end: int) -> bool:
        """Its first range has been looked at before."""
        return end <= RANGE_BYTES

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        left = end - start
        if left <= 0:
            return
        for block in self._remote.blocks(start):
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return

    def ends(self) -> int:
        descriptor = scratch()
        os.truncate(descriptor, self.size)
        for at in (0, max(0, self.size - _BACK)):
            os.lseek(descriptor, at, os.SEEK_SET)
            write_all(descriptor, self._remote.read(at, min(self.size - at, _FRONT)))
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def close(self) -> None:
        """Nothing is held."""
