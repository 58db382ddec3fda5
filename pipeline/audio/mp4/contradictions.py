"""Whether what the index of an MP4 says of a track of sound can be true: a bad disk or a bad copy changes numbers in it, and then
other bytes are played as sound, or the right ones at another time, without a word.

Everything is told more than once (ISO/IEC 14496-12): how many samples there are by the tables of sizes, of chunks and of times, how
long the track is by its times and by two headers, and where sound may be by the boxes around it. What is told once is believed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.edit_contradictions import Lengths, contradicts_itself
from pipeline.audio.mp4.sample_table import Numbers, SampleTable, TableTooLong, counted, sample_table
from pipeline.audio.mp4_boxes import Box, boxes, inside
from pipeline.audio.step_budget import TooManySteps

_IN_PIECES = (b"moof", b"mvex")  # each of which has an index of its own
_LONG = 1  # the version of a box whose times have 64 bits
_SLACK, _FRAMES = 0.1, 2  # seconds, or so many frames, that a writer may count more or less
_TIMES_LONGER = 2  # than its table of times a film may be without sound
_DIFFERING = 0.5  # seconds by which an edit list shortens what is played


@dataclass(frozen=True, slots=True)
class Contradictions:
    """Where one track contradicts itself: in what its sound is made of, in how long each sample is, or in which of them are played
    when (`edits`). `seconds`: how long it is by its headers, 0 where they do not say so."""

    bytes: bool
    times: bool
    edits: bool
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Told:
    """Ticks of the medium's times per second, how many seconds it lasts, and how many of it are played."""

    scale: int
    seconds: float
    played: float


@dataclass(frozen=True, slots=True)
class _Movie:
    """Ticks of its times per second, how many seconds are played of it, and the most of any of its tracks."""

    scale: int
    played: float
    longest: float


def contradictions(read: Read, at: int, size: int, *, pictures: bool = False) -> tuple[Contradictions | None, ...]:
    """Of each track of sound, and of `pictures`, of the MP4 from `at` to `size`, in order, None where all of it can be true; none
    at all where that is so of every one, or it is written in pieces from the beginning on, or has no index. Raises what `read` does
    alone."""
    outer = list(boxes(read, at, size))
    index = next((box for box in outer if box.name == b"moov"), None)
    within = list(boxes(read, index.content, index.end)) if index else []
    in_pieces = any(box.name in _IN_PIECES for box in (*outer, *within))
    if in_pieces and next((box.name for box in outer if box.name in (b"mdat", b"moof")), b"") != b"mdat":
        return ()
    sound = [(box.content - at, box.end - at) for box in outer if box.name == b"mdat"]
    try:
        movie = _movie(read, within)
        tracks = [box for box in within if box.name == b"trak" and (pictures or is_sound(read, box))]
    except TooManySteps:
        raise
    except (ValueError, IndexError, StopIteration, struct.error):  # no track can be told from another
        return ()
    if in_pieces:
        found = tuple(_of_first_samples(read, track, sound) for track in tracks)
    else:
        found = tuple(_of_track(read, track, movie, sound) for track in tracks)
    return found if any(found) else ()


def is_sound(read: Read, track: Box) -> bool:
    """Whether that is what a track holds. Raises ValueError where it does not say so."""
    return read(inside(read, track, b"mdia", b"hdlr").content + 8, 4) == b"soun"


def _movie(read: Read, index: Sequence[Box]) -> _Movie:
    """Raises ValueError, IndexError, struct.error and StopIteration where its index makes no sense, and what `read` does."""
    if not index:
        return _Movie(0, 0.0, 0.0)
    scale, length = scale_and_length(read, next(box for box in index if box.name == b"mvhd"))
    headers = [inside(read, box, b"tkhd") for box in index if box.name == b"trak"]
    longest = max((_played(read, header) for header in headers), default=0)
    return _Movie(scale, length / scale, longest / scale) if scale else _Movie(0, 0.0, 0.0)


def _of_track(read: Read, track: Box, movie: _Movie, sound: Sequence[tuple[int, int]]) -> Contradictions | None:
    try:
        media = inside(read, track, b"mdia")
        holder = inside(read, media, b"minf", b"stbl")
    except TooManySteps:
        raise
    except ValueError:
        return Contradictions(bytes=True, times=True, edits=False)
    if any(box.name == b"stz2" for box in boxes(read, holder.content, holder.end)):
        return None  # sizes of fewer bits, which nobody writes for sound
    try:
        count, wrong_bytes = _samples(read, holder, sound)
        told, seconds = _stated(read, media, track, movie.scale)
        table = _table_of_times(read, holder)
        wrong_times = told is None or table is None or not _is_timed(table, told, count)
    except TableTooLong:
        return None
    wrong_edits = _is_edited_wrongly(read, track, movie, told, 0.0 if wrong_times or table is None else table[1])
    is_wrong = wrong_bytes or wrong_times or wrong_edits
    return Contradictions(wrong_bytes, wrong_times, wrong_edits, seconds) if is_wrong else None


def _of_first_samples(read: Read, track: Box, sound: Sequence[tuple[int, int]]) -> Contradictions | None:
    """Of a track that goes on in pieces: no header knows how long that is which comes before them."""
    try:
        holder = inside(read, track, b"mdia", b"minf", b"stbl")
        count, wrong_bytes = _samples(read, holder, sound)
        table = _table_of_times(read, holder)
    except TooManySteps:
        raise
    except TableTooLong:
        return None
    except ValueError:
        return Contradictions(bytes=True, times=True, edits=False)
    wrong_times = table is None or (count is not None and table[0] != count)
    return Contradictions(wrong_bytes, wrong_times, edits=False) if wrong_bytes or wrong_times else None


def _samples(read: Read, holder: Box, sound: Sequence[tuple[int, int]]) -> tuple[int | None, bool]:
    """How many there are, where that is known, and whether they cannot be where they should be."""
    try:
        table = sample_table(read, holder)
        (kinds,) = struct.unpack(">I", read(inside(read, holder, b"stsd").content + 4, 4))
    except (TooManySteps, TableTooLong):
        raise
    except (ValueError, struct.error):
        return None, True
    is_described = ((table.described >= 1) & (table.described <= kinds)).all()
    has_all_sizes = bool((table.sizes[:-1] > 0).all())  # a writer that was told to stop may end with one of no bytes
    return table.count, not (is_described and has_all_sizes and _is_placed(table, sound))


def _stated(read: Read, media: Box, track: Box, movie: int) -> tuple[_Told | None, float]:
    """What the header of the medium says, and for how many seconds it is played by its own or by that of the track."""
    played = 0.0
    try:
        played = _played(read, inside(read, track, b"tkhd")) / movie
        scale, length = scale_and_length(read, inside(read, media, b"mdhd"))
        told = _Told(scale, length / scale, played)
    except TooManySteps:
        raise
    except (ArithmeticError, ValueError, IndexError, struct.error):
        return None, played
    return told, min((one for one in (told.seconds, played) if one > 0), default=0.0)


def _table_of_times(read: Read, holder: Box) -> tuple[int, float] | None:
    """Of how many samples it is, and of how many ticks; None where it makes no sense."""
    try:
        times = counted(read, inside(read, holder, b"stts"), ">u4", 2).reshape(-1, 2)
    except (TooManySteps, TableTooLong):
        raise
    except (ValueError, struct.error):
        return None
    return int(times[:, 0].sum()), float((times[:, 0].astype(float) * times[:, 1]).sum())


def _is_timed(table: tuple[int, float], told: _Told, count: int | None) -> bool:
    """Whether the table of times is one of so many samples, and as long as both headers say, where they say the same, or as one."""
    samples, seconds = table[0], table[1] / told.scale
    if told.seconds > 0 and abs(told.seconds - told.played) <= _DIFFERING:
        return abs(seconds - told.seconds) <= max(_SLACK, _FRAMES * told.seconds / (count or samples or math.inf))
    is_long_enough = told.played <= _TIMES_LONGER * seconds + _DIFFERING
    is_told = any(abs(seconds - other) <= _DIFFERING for other in (told.seconds, told.played))
    return (count is None or samples == count) and (is_told if told.seconds > 0 else is_long_enough)


def _is_edited_wrongly(read: Read, track: Box, movie: _Movie, told: _Told | None, ticks: float) -> bool:
    if told is None:  # nothing is known of its ticks, or of those of the movie
        return True
    lengths = Lengths(ticks / told.scale, told.seconds, told.played, movie.played, movie.longest)
    try:
        return contradicts_itself(read, track, (movie.scale, told.scale), lengths)
    except TooManySteps:
        raise
    except (ArithmeticError, ValueError, IndexError, struct.error):
        return True


def scale_and_length(read: Read, header: Box) -> tuple[int, int]:
    """Ticks of its times per second, and how many of them it lasts; 0 where that is not said."""
    long = read(header.content, 1)[0] == _LONG
    scale, length = struct.unpack(
        ">IQ" if long else ">II", read(header.content + (20 if long else 12), 12 if long else 8)
    )
    return scale, 0 if length == (1 << (64 if long else 32)) - 1 else length


def _played(read: Read, header: Box) -> int:
    """How long a track is played, in ticks of the movie."""
    long = read(header.content, 1)[0] == _LONG
    return int.from_bytes(read(header.content + (28 if long else 20), 8 if long else 4), "big")


def _is_placed(table: SampleTable, sound: Sequence[tuple[int, int]]) -> bool:
    """Whether each sample is of a chunk, and all chunks lie where sound may be, none of them in another."""
    ends = np.cumsum(table.in_each)
    too_many = int(table.in_each.sum()) - table.count
    if not 0 <= too_many < max(1, _last_of_several(table)):
        return False
    order = np.argsort(table.starts, kind="stable")
    begin, end = table.starts[order], (table.starts + _lengths(table, ends))[order]
    again = (begin[1:] == begin[:-1]) & (end[1:] == end[:-1])
    if ((end[:-1] > begin[1:]) & ~again).any():
        return False
    places = np.array(sorted(sound), np.int64).reshape(-1, 2)
    around = np.searchsorted(places[:, 0], begin, "right") - 1
    return bool(len(places) and (around >= 0).all() and (end <= places[around, 1]).all()) or not len(begin)


def _last_of_several(table: SampleTable) -> int:
    """How many samples the last chunk should have, where it is told together with those before, of which it may be the rest."""
    return int(table.in_each[-1]) if (table.in_each[-2:-1] == table.in_each[-1:]).any() else 0


def _lengths(table: SampleTable, ends: Numbers) -> Numbers:
    """Bytes of each chunk. What QuickTime tells of samples of one byte is no length of theirs."""
    if table.even:
        return table.in_each * (table.even if table.even > 1 else 0)
    first, last = np.minimum(ends - table.in_each, table.count), np.minimum(ends, table.count)
    lengths, filled = np.zeros(len(ends), np.int64), last > first
    if filled.any():  # each ends where the next one begins
        lengths[filled] = np.add.reduceat(table.sizes, first[filled], dtype=np.int64)
    return lengths
