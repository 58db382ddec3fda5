"""A recording that lies elsewhere. What is looked at is read in ranges, and what is decoded goes through a pipe, so that nothing of
it has to be stored here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

RANGE_BYTES = 2**20
_RANGES = 8  # that are remembered


class Remote(Protocol):
    """What is needed of whoever keeps it. Each call may raise a StenopoolError of its own."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes from there on, fewer only at the end."""
        ...

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """All bytes from there on."""
        ...


class Ranges:
    """Its bytes in any order; neighbouring ones are mostly there already."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._known: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes from there on, fewer only at the end."""
        end = min(offset + length, self._remote.size)
        if length > RANGE_BYTES * _RANGES // 2:
            return self._remote.read(offset, end - offset) if offset < end else b""
        first = offset - offset % RANGE_BYTES
        pieces = b"".join(self._range(at) for at in range(first, end, RANGE_BYTES))
        return pieces[offset - first : end - first] if offset < end else b""

    def _range(self, at: int) -> bytes:
        if at not in self._known:
            self._known[at] = self._remote.read(at, min(RANGE_BYTES, self._remote.size - at))
            while len(self._known) > _RANGES:
                self._known.popitem(last=False)
        self._known.move_to_end(at)
        return self._known[at]
