"""An open recording: bytes to look at, and a way for ffmpeg to have them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator

from pipeline.audio.access.remote import Ranges, Remote
from pipeline.audio.containers.table import MP3, MP4, OGG, WAVPACK, Found
from pipeline.audio.mp4_boxes import index_is_last

# What ffmpeg reads worse from a pipe, where it cannot look at the end first: the padding behind the last sample, the length.
_WANTS_LEAPS = (MP3, OGG, WAVPACK)


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

    def passing(self, start: int, end: int) -> Iterator[bytes]:
        """All bytes from `start` to `end`, 0 for its own, in order."""
        raise NotImplementedError


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
        self.size = remote.size

    def read(self, offset: int, length: int) -> bytes:
        return self._ranges.read(offset, length) if 0 <= offset < self.size else b""

    def passing(self, start: int, end: int) -> Iterator[bytes]:
        left = (end or self.size) - start
        for block in self._remote.blocks(start):
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return

    def close(self) -> None:
        """Nothing is held."""


def passes(source: OpenSource, found: Found) -> bool:
    """Whether it is decoded from a pipe as it is from a file."""
    if found.container is MP4:
        return not index_is_last(source.read, found.start, source.size)
    return found.container not in _WANTS_LEAPS
