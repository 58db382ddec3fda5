"""The edit lists of an MP4 (ISO/IEC 14496-12, 8.6.6): which part of a track's sound is played when.

ffmpeg plays one part well. Where a list says that nothing is to be played in the middle, it plays the track's beginning once more,
and at the seam of two parts it adds or leaves out as much as a frame of the codec.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4_boxes import Box, boxes

EMPTY = -1
_MOST_EDITS = 10_000
_LONG = 1  # the version of a box whose times have 64 bits
_MOST_OVERLAP = 0.001  # seconds, that roundings make


@dataclass(frozen=True, slots=True)
class Edit:
    """From `start` to `end` on the clock of the recording the track is played from `media` on; all in seconds."""

    start: float
    end: float
    media: float


WHOLE = Edit(0.0, math.inf, 0.0)


def seamed_edits(read: Read, at: int, size: int, *, always: bool = False) -> tuple[tuple[Edit, ...], ...]:
    """For each sound track of the file that begins there, in order; none at all where each is one part, which ffmpeg plays well
    unless its times are wrong (`always`), or some track goes back in time, which nobody can play in one go. Never raises."""
    try:
        lists = tuple(_edits_of_all(read, at, size))
    except (ArithmeticError, IndexError, ValueError, struct.error):
        return ()
    goes_back = any(
        after.media < before.media + before.end - before.start - _MOST_OVERLAP for before, after in _pairs(lists)
    )
    return () if goes_back or not (always or any(edits[1:] for edits in lists)) else lists


def _pairs(lists: tuple[tuple[Edit, ...], ...]) -> Iterator[tuple[Edit, Edit]]:
    return (pair for edits in lists for pair in pairwise(edits))


def _edits_of_all(read: Read, at: int, size: int) -> Iterator[tuple[Edit, ...]]:
    movie = _inside(read, Box(b"", at, at, size), b"moov")
    scale = _scale(read, _inside(read, movie, b"mvhd"))
    for track in boxes(read, movie.content, movie.end) if movie else ():
        media = _inside(read, track, b"mdia") if track.name == b"trak" else None
        handler = _inside(read, media, b"hdlr")
        if media and handler and read(handler.content + 8, 4) == b"soun":
            yield tuple(track_edits(read, track, scale, _scale(read, _inside(read, media, b"mdhd"))))


def track_edits(read: Read, track: Box, movie: int, media: int) -> Iterator[Edit]:
    """Of a track, by the ticks a second of the movie and of its own. Raises ArithmeticError, struct.error and what `read` does."""
    return _edits(read, _inside(read, _inside(read, track, b"edts"), b"elst"), movie, media)


def _inside(read: Read, outer: Box | None, name: bytes) -> Box | None:
    """The first box of that name in another."""
    return next((box for box in boxes(read, outer.content, outer.end) if box.name == name), None) if outer else None


def _scale(read: Read, header: Box | None) -> int:
    """Ticks of its times per second."""
    if header is None:
        return 0
    long = read(header.content, 1)[0] == _LONG
    return int.from_bytes(read(header.content + (20 if long else 12), 4), "big")


def _edits(read: Read, box: Box | None, movie: int, media: int) -> Iterator[Edit]:
    """Without a list all of the track is played from the beginning."""
    if box is None:
        yield WHOLE
        return
    version, count = struct.unpack(">B3xI", read(box.content, 8))
    entry = struct.Struct(">Qq4x" if version == _LONG else ">Ii4x")
    now = 0.0
    for number in range(min(count, _MOST_EDITS)):  # each a read of its own: a step
        lasts, begin = entry.unpack(read(box.content + 8 + number * entry.size, entry.size))
        end = now + lasts / movie
        if begin != EMPTY:
            yield Edit(now, end if lasts else math.inf, begin / media)
        now = end
