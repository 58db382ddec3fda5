"""The table of times of linear samples, which damage has changed: as it was, one line that says that each lasts a tick.

ffmpeg reads linear samples chunk by chunk where it finds that line, and else each as a packet of its own: a minute of sound takes
minutes then. When they are played is known without the table, for they are counted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import Contradictions, is_sound
from pipeline.audio.mp4.linear_track import sample_width
from pipeline.audio.mp4.narrowed_index import Change
from pipeline.audio.mp4_boxes import Box, boxes, inside

_LENGTH = 24  # bytes of a table of one line
_OTHERS = (b"stsd", b"stsc", b"stsz", b"stco", b"co64")  # which stand beside it


def mended_times(read: Read, at: int, size: int, doubts: Sequence[Contradictions | None]) -> tuple[Change, ...]:
    """What to write over the index of the MP4 from `at` to `size`, whose tracks of sound contradict themselves in that way. Raises
    what `read` does alone."""
    if not any(doubt and doubt.times for doubt in doubts):
        return ()
    try:
        index = next(box for box in boxes(read, at, size) if box.name == b"moov")
        tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak" and is_sound(read, box)]
    except (ValueError, StopIteration):
        return ()
    return tuple(
        change
        for track, doubt in zip(tracks, doubts, strict=False)
        if doubt and doubt.times
        for change in _of_track(read, track)
    )


def _of_track(read: Read, track: Box) -> Iterator[Change]:
    try:
        holder = inside(read, track, b"mdia", b"minf", b"stbl")
        width, _ = sample_width(read, holder)
        count = int.from_bytes(read(inside(read, holder, b"stsz").content + 8, 4), "big")
    except (ValueError, struct.error):
        return
    table = _table(read, holder)
    line = b"stts" + struct.pack(">IIII", 0, 1, count, 1)
    if width and table and read(table.at + 4, len(line)) != line:
        yield table.at + 4, line


def _table(read: Read, holder: Box) -> Box | None:
    """It, or what must be it, where it has lost its name."""
    tables = [box for box in boxes(read, holder.content, holder.end) if box.name not in _OTHERS]
    named = [box for box in tables if box.name == b"stts"] or tables
    return named[0] if len(named) == 1 and named[0].end - named[0].at >= _LENGTH else None
