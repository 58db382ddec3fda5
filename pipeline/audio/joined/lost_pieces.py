"""An MP4 that was written in pieces (moof, mdat; ISO/IEC 14496-12), of which damage has hit some: each tells by itself when it is
played, but whoever reads one behind the other goes no further than to the first that cannot be read."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence

from pipeline.audio.containers.chunks import Read
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4_boxes import HEADER_BYTES, Box, boxes

_BLOCK = 256 * 1024  # bytes that are searched at once
_LONGEST = 1 << 20  # bytes of a piece's index
_LONG = 1 << 32  # bytes of a box whose size takes 64 bits
_MOST_BOXES, _MOST_BEFORE = 500_000, 50  # in all, and before the first piece
_MOST_LOST, _MOST_TRIES = 100, 500
_PIECE = b"moof"
_OUTER = frozenset((
    _PIECE, b"mdat", b"ftyp", b"styp", b"moov", b"mfra", b"sidx", b"ssix", b"prft", b"emsg", b"free", b"skip", b"wide", b"uuid",
    b"pdin", b"meta", b"udta",
))  # fmt: skip
_IN_PIECE = frozenset((b"mfhd", b"traf", b"pssh", b"meta", b"uuid", b"free", b"skip"))
_IN_TRACK = frozenset((
    b"tfhd", b"tfdt", b"trun", b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio", b"senc", b"meta", b"uuid", b"free", b"skip",
))  # fmt: skip


def lost_pieces(read: Read, at: int, size: int) -> tuple[tuple[int, int], ...]:
    """From where to where no piece can be read, between others that can, of the file that begins at `at`. None in any other."""
    return tuple(_Pieces(read, size).lost(at))


def as_free_space(blocks: Iterable[bytes], at: int, lost: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """What follows each other from the byte `at` on, those stretches in boxes that nobody reads: an index may count from the front
    of the file, so that nothing may move."""
    for block in blocks:
        covered, end = bytearray(block), at + len(block)
        for start, stop in lost:
            if start < end and stop > at:
                size = stop - start
                header = (
                    struct.pack(">I4s", size, b"free") if size < _LONG else struct.pack(">I4sQ", 1, b"free", size)
                )[:size]
                first, last = max(start, at), min(stop, end)
                hidden = header[first - start :].ljust(last - first, b"\0")[: last - first]
                covered[first - at : last - at] = hidden
        yield bytes(covered)
        at = end


class _Pieces:
    def __init__(self, read: Read, size: int) -> None:
        self._window, self._size = Window(read, size), size
        self._tries = 0

    def lost(self, at: int) -> Iterator[tuple[int, int]]:
        found, pieces, index = 0, False, None
        for number in range(_MOST_BOXES):
            if at >= self._size or (number >= _MOST_BEFORE and not pieces):
                return
            if box := self._sound_box(at):
                index = at if box.name == _PIECE else None
                at, pieces = box.end, pieces or box.name == _PIECE
                continue
            torn = self._box(at)
            pieces |= torn is not None and torn.name == _PIECE
            again = self._next(at + 1) if pieces and found < _MOST_LOST else None
            if again is None:
                return
            yield at if index is None else index, again
            at, found, index = again, found + 1, None

    def _sound_box(self, at: int) -> Box | None:
        box = self._box(at)
        known = box and box.name in _OUTER and box.end <= self._size
        return box if box and known and (box.name != _PIECE or self._is_whole(box)) else None

    def _box(self, at: int) -> Box | None:
        head = self._window.head(at, HEADER_BYTES)
        return next(boxes(lambda _, length: head[:length], at, self._size), None)

    def _is_whole(self, piece: Box) -> bool:
        """Whether its index holds what belongs there, and nothing else up to its end."""
        if piece.end - piece.at > _LONGEST:
            return False
        data = self._window.head(piece.at, piece.end - piece.at)

        def read(at: int, length: int) -> bytes:
            return data[at : at + length]

        inside = list(boxes(read, piece.content - piece.at, len(data)))
        tracks = [box for box in inside if box.name == b"traf"]
        return (
            bool(tracks)
            and _fits(inside, _IN_PIECE, len(data))
            and all(_fits(list(boxes(read, track.content, track.end)), _IN_TRACK, track.end) for track in tracks)
        )

    def _next(self, at: int) -> int | None:
        """Where the next piece begins that is whole."""
        while at < self._size:
            for mark in re.finditer(_PIECE, self._window.read(at, _BLOCK)):
                self._tries += 1
                if self._tries > _MOST_TRIES:
                    return None
                box = self._box(at + mark.start() - 4)
                if box and box.end <= self._size and self._is_whole(box):
                    return box.at
            at += _BLOCK - len(_PIECE) + 1
        return None


def _fits(inside: list[Box], names: frozenset[bytes], end: int) -> bool:
    return bool(inside) and inside[-1].end == end and all(box.name in names for box in inside)
