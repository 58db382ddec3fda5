"""A CAF with coded sound out of which a stretch of bytes is missing, as a bad copy leaves it: where, and how many.

Its table of packets (`pakt`; Apple, Core Audio Format 1.0), without which nothing of it can be read, tells how long each is. Where
it stands behind the sound it lies so much nearer to the front than the sound says that it ends; where it stands before, the file is
so much shorter. The place is where packets begin as those of this sound do, as in an MP4.
"""

from __future__ import annotations

import struct

import numpy as np

from pipeline.audio.access.cut_out import first_moved
from pipeline.audio.containers.chunks import Chunk, Read, chunks, sound_chunk
from pipeline.audio.containers.table import CAF, Found
from pipeline.audio.mp4.sample_table import Places

Missing = tuple[int, int]  # before which byte of the file, and how many

_TABLE = b"pakt"
_HEADER, _TABLE_HEADER, _EDITS = (
    12,
    24,
    4,
)  # bytes of a chunk's name and length, of what the table counts, of what precedes sound
_LONGEST = 64 * 2**20  # bytes of a table
_BLOCK = 256 * 1024  # bytes that are searched at once
_GOES_ON, _BITS = 0x80, 7  # of a number's byte
_MOST_BYTES = 5  # of a number


def cut_packets(read: Read, found: Found, size: int) -> Missing | None:
    """Of the file of `size` bytes, if it is such a CAF with one such place. None for all others. Raises what `read` does alone."""
    if found.container is not CAF:
        return None
    walked = chunks(read, found.start, size, CAF)
    sound, layout = sound_chunk(walked, CAF), walked.first(b"desc")
    if sound is None or sound.length is None or layout is None or sound.start + sound.length <= size:
        return None
    try:
        (packet,) = struct.unpack(">16xI", read(layout.start, 20))
        table = None if packet else walked.first(_TABLE) or _behind(read, sound, size)
        return _missing(read, sound, table, size) if table else None
    except (ArithmeticError, ValueError, struct.error):
        return None


def _missing(read: Read, sound: Chunk, table: Chunk, size: int) -> Missing | None:
    assert sound.length is not None
    end = size if table.start < sound.start else table.start - _HEADER
    missing, places = sound.start + sound.length - end, _places(read, sound, table)
    if not 0 < missing <= size or not len(places):
        return None
    place = first_moved(read, places, missing, end)
    return None if place is None else (place, missing)


def _behind(read: Read, sound: Chunk, size: int) -> Chunk | None:
    """A table behind the sound, nearer to the front than that says. It is the last thing in a file, or nearly."""
    end = size
    while end > max(sound.start, size - _LONGEST):
        start = max(sound.start, end - _BLOCK)
        data = read(start, end - start + _HEADER)
        place = data.rfind(_TABLE + b"\0")
        length = int.from_bytes(data[place + 4 : place + _HEADER], "big") if place >= 0 else 0
        if _TABLE_HEADER < length <= size - (start + place + _HEADER):
            return Chunk(_TABLE, start + place + _HEADER, length)
        end = start
    return None


def _places(read: Read, sound: Chunk, table: Chunk) -> Places:
    """Where each packet begins in the whole file. Raises ValueError for a table that is not of this sound."""
    count = int.from_bytes(read(table.start, 8), "big")
    length = min((table.length or 0) - _TABLE_HEADER, _LONGEST)
    data = np.frombuffer(read(table.start + _TABLE_HEADER, length), np.uint8)
    ends = np.flatnonzero(data < _GOES_ON)[:count]
    if not 0 < len(ends) == count:
        raise ValueError
    widths = np.diff(ends, prepend=-1)
    if widths.max() > _MOST_BYTES:
        raise ValueError
    lengths = np.zeros(count, np.int64)
    for back in range(int(widths.max())):
        digits = np.where(back < widths, data[ends - back] & (_GOES_ON - 1), 0)
        lengths += digits.astype(np.int64) << _BITS * back
    if lengths.sum() + _EDITS != sound.length:
        raise ValueError
    first: Places = sound.start + _EDITS + np.cumsum(lengths) - lengths
    return first
