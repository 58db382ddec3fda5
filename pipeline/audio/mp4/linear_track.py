"""Linear samples in an MP4, as QuickTime and cameras write them: how wide they are, where they lie, and when they are played.

No frame of theirs shows whether it is whole: where bytes of the file are missing, what stands for them is silence, or a noise.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import is_sound, scale_and_length
from pipeline.audio.mp4.sample_table import SampleTable, counted, sample_table
from pipeline.audio.mp4_boxes import Box, inside

Stretch = tuple[float, float]  # seconds

_WIDTHS = {b"in24": 3, b"in32": 4, b"fl32": 4, b"fl64": 8, b"ulaw": 1, b"alaw": 1}  # bytes of a sample
_BY_BITS = (b"sowt", b"twos", b"raw ", b"lpcm")


@dataclass(frozen=True, slots=True)
class LinearTrack:
    """`frame` bytes are a sample of each of its `channels`, of which there are `rate` a second."""

    frame: int
    channels: int
    rate: float
    table: SampleTable

    @property
    def extent(self) -> tuple[int, int] | None:
        """From where to where they reach, as the places of chunks are told; None where anything stands between them."""
        begin, stop = self.table.starts, self.table.starts + self.table.in_each * self.frame
        is_whole = len(begin) > 0 and bool((begin[1:] == stop[:-1]).all())
        return (int(begin[0]), int(stop[-1])) if is_whole else None

    def played(self, start: int, end: int) -> Stretch | None:
        """When these bytes are, counted from where the file begins; None where none of them is of this track."""
        begin, stop = self.table.starts, self.table.starts + self.table.in_each * self.frame
        hit = (begin < end) & (stop > start)
        before = np.cumsum(self.table.in_each) - self.table.in_each
        first = (before + (np.maximum(start, begin) - begin) // self.frame)[hit]
        last = (before + (np.minimum(end, stop) - begin) // self.frame)[hit]
        return (float(first.min()) / self.rate, float(last.max()) / self.rate) if len(first) else None


def linear_track(read: Read, track: Box) -> LinearTrack | None:
    """None for a coded one, and for pictures. Raises ValueError and struct.error where it makes no sense, and what `read` does."""
    if not is_sound(read, track):
        return None
    media = inside(read, track, b"mdia")
    holder = inside(read, media, b"minf", b"stbl")
    width, channels = sample_width(read, holder)
    if not width or not channels:
        return None
    table, times = sample_table(read, holder), counted(read, inside(read, holder, b"stts"), ">u4", 2).reshape(-1, 2)
    rate = scale_and_length(read, inside(read, media, b"mdhd"))[0] / max(1, int(times[:1, 1].sum()))
    frame = table.even if table.even > 1 else width * channels  # QuickTime tells of each that it is one byte long
    return LinearTrack(frame, channels, rate, table)


def sample_width(read: Read, holder: Box) -> tuple[int, int]:
    """(bytes of a sample, channels) as a box `stbl` describes them first; 0 bytes of what is coded. Raises ValueError and
    struct.error where it makes no sense, and what `read` does."""
    described = inside(read, holder, b"stsd").content + 8
    kind, channels, bits = struct.unpack(">4x4s16xHH", read(described, 28))
    return _WIDTHS.get(kind, bits // 8 if kind in _BY_BITS else 0), channels
