"""Where an MP4 says that the samples of a track are: of how many bytes, and in which chunk of the file (ISO/IEC 14496-12, 8.7)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4_boxes import Box, boxes, inside

Numbers = NDArray[np.integer[Any]]
Places = NDArray[np.int64]

LONGEST_INDEX = 64 * 2**20  # bytes; a day of AAC has some 30
_LONGEST_SIZES, _LONGEST_TABLE = (
    2**25,
    2**22,
)  # bytes of a table: a day's sizes take 16 MB, all others of them one or two
_MOST_SAMPLES = 10_000_000  # of whose every place an array is made
_HEADER = 4  # bytes of version and flags


class TableTooLong(ValueError):
    """There is more of it than is looked at: in memory a table takes several times its bytes."""


@dataclass(frozen=True, slots=True)
class SampleTable:
    """`count` samples; `even` bytes are each, 0: `sizes` tells of each. The chunks begin at the bytes `starts`, counted from where
    the file begins, and hold `in_each` samples, each `described` by the description of that number, from 1."""

    count: int
    even: int
    sizes: Numbers
    starts: Numbers
    in_each: Numbers
    described: Numbers


def sample_table(read: Read, holder: Box) -> SampleTable:
    """Of a box `stbl`. Raises TableTooLong; ValueError and struct.error where it makes no sense, and what `read` does."""
    sizes = inside(read, holder, b"stsz")
    even, count = struct.unpack(">II", read(sizes.content + _HEADER, 8))
    each = _numbers(read, sizes, _HEADER + 8, 0 if even else count, ">u4", most=_LONGEST_SIZES)
    places = next((box for box in boxes(read, holder.content, holder.end) if box.name in (b"stco", b"co64")), None)
    if places is None:
        raise ValueError
    starts = counted(read, places, ">u4" if places.name == b"stco" else ">u8")
    runs = counted(read, inside(read, holder, b"stsc"), ">u4", 3).reshape(-1, 3)
    chunks = np.diff(np.append(runs[:, 0] - 1, len(starts)))
    if (chunks < 0).any() or chunks.sum() != len(starts):
        raise ValueError
    return SampleTable(count, even, each, starts, np.repeat(runs[:, 1], chunks), np.repeat(runs[:, 2], chunks))


def placed(table: SampleTable) -> tuple[Places, Places]:
    """Where each sample begins, counted from where the file does, and how many bytes it has. Raises ValueError where not all of
    them are of a chunk."""
    count = table.count
    if not 0 < count <= _MOST_SAMPLES or table.in_each.sum() != count:
        raise ValueError
    lengths = np.full(count, table.even, np.int64) if table.even else table.sizes.astype(np.int64)
    begins = np.cumsum(lengths) - lengths
    firsts = np.minimum(np.cumsum(table.in_each) - table.in_each, count - 1)
    starts: Places = np.repeat(table.starts - begins[firsts], table.in_each) + begins
    return starts, lengths


def counted(read: Read, table: Box, kind: str, each: int = 1) -> Numbers:
    """The numbers of a table that begins with how many times `each` of them there are. Raises as `sample_table`."""
    (count,) = struct.unpack(">I", read(table.content + _HEADER, 4))
    return _numbers(read, table, _HEADER + 4, count * each, kind, most=_LONGEST_TABLE).astype(np.int64)


def _numbers(read: Read, table: Box, at: int, count: int, kind: str, *, most: int) -> Numbers:
    """As they stand there: the sizes of a day's samples are not copied."""
    length = count * np.dtype(kind).itemsize
    if at + length > table.end - table.content:
        raise ValueError
    if length > most:
        raise TableTooLong
    return np.frombuffer(read(table.content + at, length), kind, count)
