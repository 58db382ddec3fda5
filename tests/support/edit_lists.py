"""MP4 files whose edit list says that a player is to wait in the middle, as editors write it, which ffmpeg cannot."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

EMPTY = -1
_OUTER = (b"moov", b"trak", b"edts")
_PLAYED = {b"mvhd": 16, b"tkhd": 20}  # bytes before how long it is, by edits, in headers of version 0


def edited(mp4: bytes, edits: Sequence[tuple[float, float]]) -> bytes:
    """The same with other edits for its one track: (seconds that it lasts, second of the sound where it begins, or EMPTY).

    The index must stand last: where the sound lies does not change.
    """
    return _rebuilt(mp4, edits, _scale(mp4, b"mvhd"), _scale(mp4, b"mdhd"))


def _scale(mp4: bytes, name: bytes) -> int:
    """Ticks per second, by a header of version 0."""
    at = mp4.index(name)
    return int(struct.unpack_from(">I", mp4, at + 16)[0])


def _rebuilt(data: bytes, edits: Sequence[tuple[float, float]], movie: int, media: int) -> bytes:
    out = b""
    for name, content in boxes_in(data):
        new = _edit_list(edits, movie, media) if name == b"elst" else content
        if name in _PLAYED:
            at, lasts = _PLAYED[name], sum(one for one, _ in edits)
            new = content[:at] + struct.pack(">I", round(lasts * movie)) + content[at + 4 :]
        if name in _OUTER:
            new = _rebuilt(content, edits, movie, media)
        out += struct.pack(">I4s", 8 + len(new), name) + new
    return out


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of each box that stands there."""
    at = 0
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + length]
        at += length


def _edit_list(edits: Sequence[tuple[float, float]], movie: int, media: int) -> bytes:
    entries = [
        struct.pack(">IiI", round(lasts * movie), EMPTY if begin == EMPTY else round(begin * media), 1 << 16)
        for lasts, begin in edits
    ]
    return struct.pack(">II", 0, len(entries)) + b"".join(entries)
