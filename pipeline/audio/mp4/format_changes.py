"""Sound in an MP4 whose format changes: a track may describe its samples in several ways (ISO/IEC 14496-12, 8.5.2 and 8.7.4), as
editors write it that put recordings of several kinds into one without encoding them anew.

ffmpeg takes linear samples for those of the last description, whatever they are, and passes over what is of another codec than the
first. So each part is read by an index that tells of nothing else in the track.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import is_sound, scale_and_length
from pipeline.audio.mp4.edit_list import EMPTY, Edit, track_edits
from pipeline.audio.mp4.narrowed_index import Change, Kept, Ticks, narrowed
from pipeline.audio.mp4.sample_descriptions import descriptions, is_described_first, is_followed
from pipeline.audio.mp4.sample_table import Numbers, SampleTable, TableTooLong, counted, sample_table
from pipeline.audio.mp4_boxes import Box, boxes, inside
from pipeline.audio.step_budget import TooManySteps
from pipeline.errors import UnsupportedMedia

_MOST_PARTS = 100  # each takes a decoder of its own
_LONG = 1  # the version of a box whose times have 64 bits
_TELLS_PLACE, _TELLS_NUMBER = 1, 2  # flags of a track in a piece
_SHORTEST = 1e-4  # seconds that are a part, and no rounding of an edit list
_ROUNDED = 1e-3  # ticks
_TOO_MANY = (
    f"The sound changes its format more than {_MOST_PARTS - 1} times. Write the file anew in one format, e.g. with "
    "ffmpeg -i IN OUT.m4a."
)
_IN_PIECES = (
    "The sound changes its format from one piece (moof) of the file to another, which is not followed. Send what is of one format "
    "as a file of its own."
)


@dataclass(frozen=True, slots=True)
class Part:
    """From `begin` to `end`, in seconds on the clock of the recording, samples of one format are played: those of which alone the
    file's index tells once these `changes` have been made to the file's bytes."""

    begin: float
    end: float
    changes: tuple[Change, ...]


def format_changes(read: Read, at: int, size: int) -> tuple[tuple[Part, ...], ...]:
    """Of each track of sound in the MP4 from `at` to `size`, in order, its parts; none of a track that ffmpeg reads well, and none
    at all where that is so of every one. Raises UnsupportedMedia where there are too many, or the file is written in pieces that
    differ, and what `read` does."""
    outer = list(boxes(read, at, size))
    index = next((box for box in outer if box.name == b"moov"), None)
    if index is None:
        return ()
    pieces = [box for box in outer if box.name == b"moof"]
    tracks = (box for box in boxes(read, index.content, index.end) if box.name == b"trak")
    try:
        found = [_of_track(read, index, track, pieces) for track in tracks if is_sound(read, track)]
    except (TooManySteps, UnsupportedMedia):
        raise
    except (TableTooLong, ArithmeticError, ValueError, IndexError, struct.error):  # it makes no sense: others tell that
        return ()
    return tuple(found) if any(found) else ()


def _of_track(read: Read, index: Box, track: Box, pieces: Sequence[Box]) -> tuple[Part, ...]:
    described = descriptions(read, inside(read, track, b"mdia", b"minf", b"stbl", b"stsd"))
    if len(set(described)) == 1 or is_followed(described, in_pieces=bool(pieces)):
        return ()
    if not pieces:
        return tuple(_Track(read, index, track, described).parts())
    used = {described[number - 1] for number in _numbers_in(read, index, track, pieces)}
    if used - {described[0]} or not is_described_first(described):
        raise UnsupportedMedia(_IN_PIECES)
    return ()


def _numbers_in(read: Read, index: Box, track: Box, pieces: Sequence[Box]) -> Iterator[int]:
    """Of the descriptions of a track that its pieces use: each says so, or what is said for all of them holds."""
    header = inside(read, track, b"tkhd")
    identity = read(header.content + (20 if read(header.content, 1)[0] == _LONG else 12), 4)
    extends = inside(read, index, b"mvex")
    for_all = (read(box.content + 4, 8) for box in boxes(read, extends.content, extends.end) if box.name == b"trex")
    usual = next((int.from_bytes(told[4:], "big") for told in for_all if told[:4] == identity), 0)
    for piece in pieces:
        for box in boxes(read, piece.content, piece.end):
            told = read(inside(read, box, b"tfhd").content, 20) if box.name == b"traf" else b""
            if told[4:8] == identity:
                at = 16 if told[3] & _TELLS_PLACE else 8
                yield int.from_bytes(told[at : at + 4], "big") if told[3] & _TELLS_NUMBER else usual


@dataclass(frozen=True, slots=True)
class _Run:
    """Chunks, samples and ticks of the track from one to another, of one description; `times`: (how many, how long each)."""

    chunks: tuple[int, int]
    samples: tuple[int, int]
    times: Sequence[Ticks]
    ticks: tuple[int, int]
    description: bytes


class _Track:
    """One that describes its samples in several ways."""

    def __init__(self, read: Read, index: Box, track: Box, described: Sequence[bytes]) -> None:
        media = inside(read, track, b"mdia")
        holder = inside(read, media, b"minf", b"stbl")
        self._read, self._index, self._track, self._described = read, index, track, described
        self._movie = scale_and_length(read, inside(read, index, b"mvhd"))[0]
        self._scale = scale_and_length(read, inside(read, media, b"mdhd"))[0]
        self._table: SampleTable = sample_table(read, holder)
        self._times: Numbers = counted(read, inside(read, holder, b"stts"), ">u4", 2).reshape(-1, 2)
        if self._times[:, 0].sum() != self._table.count or self._table.in_each.sum() < self._table.count:
            raise ValueError

    def parts(self) -> Iterator[Part]:
        """In the order in which they are played. Raises UnsupportedMedia where there are too many."""
        now = 0.0
        for number, (run, played) in enumerate(groupby(self._played(), lambda one: one[0])):
            if number == _MOST_PARTS:
                raise UnsupportedMedia(_TOO_MANY)
            edits = [edit for _, edit in played]
            kept = self._kept(run, edits, now)
            begin, now = now, edits[-1].end
            yield Part(begin, now, narrowed(self._read, self._index, self._track, self._table, kept))

    def _played(self) -> Iterator[tuple[_Run, Edit]]:
        """What is played of each run, and when."""
        runs = self._runs()
        ends = [run.ticks[1] / self._scale for run in runs]
        for edit in track_edits(self._read, self._track, self._movie, self._scale):
            for run in runs[bisect_right(ends, edit.media) :]:
                begin, end = (tick / self._scale for tick in run.ticks)
                first, last = max(edit.media, begin), min(edit.media + edit.end - edit.start, end)
                if last < begin:
                    break
                if last - first >= _SHORTEST:
                    start = edit.start + first - edit.media
                    yield run, Edit(start, start + last - first, first)

    def _kept(self, run: _Run, edits: Sequence[Edit], now: float) -> Kept:
        """Its samples, played from `now` on: a part of an edit is never cut short by a rounding."""
        rows, begin = list[Ticks](), run.ticks[0] / self._scale
        for edit in edits:
            if (pause := round((edit.start - now) * self._movie)) > 0:
                rows.append((pause, EMPTY))
            rows.append(
                (ceil((edit.end - edit.start) * self._movie - _ROUNDED), round((edit.media - begin) * self._scale))
            )
            now = edit.end
        played = sum(lasts for lasts, _ in rows)
        return Kept(run.samples, run.chunks, run.description, run.times, played, rows)

    def _runs(self) -> list[_Run]:
        """Raises UnsupportedMedia where there are too many."""
        numbers = np.array([self._described.index(one) for one in self._described])[self._table.described - 1]
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        if len(firsts) > _MOST_PARTS:
            raise UnsupportedMedia(_TOO_MANY)
        before = np.append(0, np.cumsum(self._table.in_each)).clip(max=self._table.count)
        found, tick = list[_Run](), 0
        for first, last in pairwise([*firsts.tolist(), len(numbers)]):
            samples = int(before[first]), int(before[last])
            times = self._times_of(*samples)
            ticks = tick, tick + sum(count * each for count, each in times)
            found.append(_Run((first, last), samples, times, ticks, self._described[numbers[first]]))
            tick = ticks[1]
        return found

    def _times_of(self, first: int, last: int) -> list[Ticks]:
        """(how many, how long each) of the samples from one to another."""
        ends = np.cumsum(self._times[:, 0])
        counts = np.minimum(ends, last) - np.maximum(ends - self._times[:, 0], first)
        here = counts > 0
        return list(zip(counts[here].tolist(), self._times[here, 1].tolist(), strict=True))
