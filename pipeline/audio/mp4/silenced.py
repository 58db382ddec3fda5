"""When what stands for missing bytes of an MP4 is played: its index tells of every sample, where it lies and how long it lasts.

Zeros are silence in linear samples. In coded ones a decoder complains of them, or conceals them without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import is_sound, scale_and_length
from pipeline.audio.mp4.edit_list import track_edits
from pipeline.audio.mp4.linear_track import Stretch, linear_track
from pipeline.audio.mp4.sample_table import counted, placed, sample_table
from pipeline.audio.mp4_boxes import Box, boxes, inside

_RESERVOIR = 511  # bytes that a frame of mp3 may take of those before it (ISO/IEC 11172-3, 2.4.2.7)
_SETTLES = 0.1  # seconds; a decoder that goes on behind what is missing needs up to 80 ms for that, one of Opus


def silenced(read: Read, at: int, size: int, put_in: Sequence[tuple[int, int]]) -> tuple[tuple[Stretch, ...], ...]:
    """For each track of sound when these bytes are played, on the clock of the recording, in seconds. Raises what `read` does
    alone."""
    index = next((box for box in boxes(read, at, size) if box.name == b"moov"), None) if put_in else None
    if index is None:
        return ()
    missing = [(start - at, end - at) for start, end in put_in]
    try:
        scale = scale_and_length(read, inside(read, index, b"mvhd"))[0]
        tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak" and is_sound(read, box)]
        return tuple(tuple(_silenced(read, track, scale, missing)) for track in tracks)
    except (ArithmeticError, IndexError, ValueError, struct.error):
        return ()


def _silenced(read: Read, track: Box, movie: int, missing: Sequence[tuple[int, int]]) -> Iterator[Stretch]:
    linear = linear_track(read, track)
    header = inside(read, track, b"mdia", b"mdhd")
    edits = list(track_edits(read, track, movie, scale_and_length(read, header)[0]))
    for start, end in missing:
        stretch = linear.played(start, end) if linear else _coded(read, inside(read, track, b"mdia"), start, end)
        for edit in edits if stretch else ():
            begin, stop = (second - edit.media + edit.start for second in stretch or ())
            if max(begin, edit.start) < min(stop, edit.end):
                yield max(begin, edit.start), min(stop, edit.end)


def _coded(read: Read, media: Box, start: int, end: int) -> Stretch | None:
    """When the frames are that have some of these bytes, and those that a decoder cannot do without them. The first may have lost
    its end alone, which lies before the others: what is put in stands where the next whole one begins."""
    holder = inside(read, media, b"minf", b"stbl")
    starts, lengths = placed(sample_table(read, holder))
    times = counted(read, inside(read, holder, b"stts"), ">u4", 2).reshape(-1, 2)
    ends = np.cumsum(np.repeat(times[:, 1], np.minimum(times[:, 0], len(starts)))[: len(starts)])
    hit = np.flatnonzero((starts < end + _RESERVOIR) & (starts + lengths > start - int(lengths.max())))
    if not len(hit) or hit[-1] >= len(ends):
        return None
    scale = scale_and_length(read, inside(read, media, b"mdhd"))[0]
    first = ends[hit[0] - 1] if hit[0] else 0
    return float(first / scale), float(ends[hit[-1]] / scale) + _SETTLES
