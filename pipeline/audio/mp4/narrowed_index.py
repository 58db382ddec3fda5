"""The index of an MP4 as it would be if a track held some of its samples and no others: what each of its boxes should say, written
over what it says, so that nothing in the file moves."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.sample_table import Numbers, SampleTable
from pipeline.audio.mp4_boxes import Box, boxes, inside

Change = tuple[int, bytes]  # from this byte of the file on, what should stand there
Ticks = tuple[int, int]

_LONG = 1  # the version of a box whose times have 64 bits
_FLAGS = 4  # bytes of a box before what it counts


@dataclass(frozen=True, slots=True)
class Kept:
    """The samples of a track from one to another, which are those of the chunks from one to another, of one `description`; when
    each is played, by (how many, how long each), and for how many ticks of the movie; the edit list: (so many ticks of the movie,
    from this tick of the track's on)."""

    samples: tuple[int, int]
    chunks: tuple[int, int]
    description: bytes
    times: Sequence[Ticks]
    played: int
    edits: Sequence[Ticks]


def narrowed(read: Read, index: Box, track: Box, table: SampleTable, kept: Kept) -> tuple[Change, ...]:
    """What to change in the file whose index that is. Raises ValueError where a box is not there, and what `read` does."""
    media = inside(read, track, b"mdia")
    return (
        _header(read, inside(read, index, b"mvhd"), kept.played, (16, 24)),
        _header(read, inside(read, track, b"tkhd"), kept.played, (20, 28)),
        _header(read, inside(read, media, b"mdhd"), sum(count * each for count, each in kept.times), (16, 24)),
        *_edits(read, track, kept.edits),
        *_tables(read, inside(read, media, b"minf", b"stbl"), table, kept),
    )


def _header(read: Read, header: Box, length: int, places: tuple[int, int]) -> Change:
    """How long it lasts, which stands at the first of the places, or the other one where times have 64 bits."""
    is_long = read(header.content, 1)[0] == _LONG
    return header.content + places[is_long], length.to_bytes(8 if is_long else 4, "big")


def _edits(read: Read, track: Box, edits: Sequence[Ticks]) -> Iterator[Change]:
    holder = next((box for box in boxes(read, track.content, track.end) if box.name == b"edts"), None)
    box = (
        next((box for box in boxes(read, holder.content, holder.end) if box.name == b"elst"), None) if holder else None
    )
    if box is not None:
        entry = ">QqI" if read(box.content, 1)[0] == _LONG else ">IiI"
        rows = b"".join(struct.pack(entry, lasts, begin, 1 << 16) for lasts, begin in edits)
        yield _fitted(box, len(edits).to_bytes(4, "big") + rows)


def _tables(read: Read, holder: Box, table: SampleTable, kept: Kept) -> Iterator[Change]:
    (first, last), (begin, end) = kept.samples, kept.chunks
    sizes = b"" if table.even else table.sizes[first:last].tobytes()
    for box in boxes(read, holder.content, holder.end):
        if box.name == b"stsd":
            rest = box.end - box.content - _FLAGS - 4 - len(kept.description)
            yield _fitted(box, (1).to_bytes(4, "big") + kept.description + struct.pack(">I4s", rest, b"free"))
        elif box.name == b"stts":
            yield _fitted(box, _counted(np.array(kept.times, ">u4").reshape(-1, 2)))
        elif box.name == b"stsz":
            yield _fitted(box, struct.pack(">II", table.even, last - first) + sizes)
        elif box.name == b"stsc":
            yield _fitted(box, _counted(_runs(table.in_each[begin:end])))
        elif box.name in (b"stco", b"co64"):
            yield _fitted(box, _counted(table.starts[begin:end].astype(">u4" if box.name == b"stco" else ">u8")))
        elif box.name == b"ctts":
            yield _fitted(box, bytes(4))


def _runs(in_each: Numbers) -> Numbers:
    """Where another number of samples begins to be in each chunk: (its number, from 1; how many; the only description)."""
    firsts = np.flatnonzero(np.diff(in_each, prepend=-1))
    return np.stack((firsts + 1, in_each[firsts], np.ones_like(firsts)), axis=1).astype(">u4")


def _counted(rows: Numbers) -> bytes:
    return len(rows).to_bytes(4, "big") + rows.tobytes()


def _fitted(box: Box, content: bytes) -> Change:
    """Behind the flags of a box. Raises ValueError where it has no room for that."""
    if box.content + _FLAGS + len(content) > box.end:
        raise ValueError
    return box.content + _FLAGS, content
