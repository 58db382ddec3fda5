"""A file through a window that moves forward: a walk from header to header reads it in large pieces."""

from __future__ import annotations

from pipeline.audio.containers.chunks import Read

_BYTES = 256 * 1024


class Window:
    """Bytes of a file of `size`, mostly from the piece that was read last."""

    def __init__(self, read: Read, size: int) -> None:
        self.read, self.size = read, size
        self._at, self._piece = 0, b""

    def head(self, at: int, length: int) -> bytes:
        """So many bytes from `at` on, fewer only at the end of the file."""
        inside = at - self._at
        if inside < 0 or (inside + length > len(self._piece) and self._at + len(self._piece) < self.size):
            self._at, self._piece, inside = at, self.read(at, max(_BYTES, length)), 0
        return self._piece[inside : inside + length]
