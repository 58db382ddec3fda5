"""Pieces of an MP4 (moof; ISO/IEC 14496-12, 8.8) that contradict the others: a bad copy changes the length of a sample, and all
behind it in the piece are other bytes; or when the piece is played, and it stands elsewhere on the clock.

The samples of a piece fill the box of sound behind it, and the next piece is played when this one ends: so writers do it, and where
nearly all pieces of a file are so, one that is not is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.audio.containers.chunks import Read
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4.contradictions import is_sound, scale_and_length
from pipeline.audio.mp4_boxes import Box, boxes, inside

_LONGEST = 1 << 20  # bytes of a piece's index
_MOST = 500_000  # boxes
_MOSTLY = 0.75  # of the pieces
_FEWEST = 4
_CLOSE = 0.02  # seconds
_LONG = 1  # the version of a box whose times have 64 bits
_PLACE, _NUMBER, _LASTS, _SIZE, _FLAGS = (
    1,
    2,
    8,
    16,
    32,
)  # flags of a track in a piece (tfhd): what is told behind its number,
_WIDTHS = {_PLACE: 8, _NUMBER: 4, _LASTS: 4, _SIZE: 4, _FLAGS: 4}  # in so many bytes
_OFFSET, _FIRST = 1, 4  # flags of a run (trun): each says that so many bytes come before its samples
_EACH_LASTS, _EACH_SIZE, _EACH = (
    0x100,
    0x200,
    (0x100, 0x200, 0x400, 0x800),
)  # and these what is told of each, in four bytes


Time = tuple[float, float]  # from when to when, in seconds


@dataclass(frozen=True, slots=True)
class _Piece:
    """From `start` to `end` in the file; whether its samples fill the box behind it; of its track, when it begins and ends, in
    seconds, where it says so."""

    start: int
    end: int
    filled: bool
    times: Time | None


@dataclass(frozen=True, slots=True)
class _Usual:
    """Of one track: its number, ticks per second, and how long and how large a sample is where a piece does not say."""

    number: int
    scale: int
    lasts: int
    size: int


def wrong_pieces(read: Read, at: int, size: int, lost: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """From where to where those reach, in the MP4 from `at` to `size`, that cannot be true, of one with a single track. What is
    `lost` is passed over. Raises what `read` does alone."""
    try:
        pieces = list(_pieces(Window(read, size), at, size, dict(lost)))
    except (ArithmeticError, IndexError, ValueError, struct.error):
        return ()
    if len(pieces) < _FEWEST:
        return ()
    wrong = set(_out_of_time([piece.times for piece in pieces]))
    if sum(piece.filled for piece in pieces) >= _MOSTLY * len(pieces):
        wrong |= {number for number, piece in enumerate(pieces) if not piece.filled}
    return tuple((pieces[number].start, pieces[number].end) for number in sorted(wrong))


def _out_of_time(times: Sequence[Time | None]) -> Iterator[int]:
    """Those that are not played where the ones around them leave room; nothing where pieces do not follow each other."""
    follow = [bool(one and other and abs(other[0] - one[1]) <= _CLOSE) for one, other in pairwise(times)]
    if sum(follow) < _MOSTLY * len(follow):
        return
    for number, this in enumerate(times):
        before = times[number - 1] if number else (0.0, 0.0)
        behind = times[number + 1] if number + 1 < len(times) else None
        is_late, is_over = number > 0 and not follow[number - 1], number < len(follow) and not follow[number]
        has_moved = this is None or (is_late and before is not None and _is_elsewhere(before, this, behind))
        if has_moved or (this and is_over and not is_late and behind and this[1] > behind[0] + _CLOSE):
            yield number


def _is_elsewhere(before: Time, this: Time, behind: Time | None) -> bool:
    """Whether it would follow the one before it, and the one behind it, if it began when that ends; the last one goes back."""
    if behind is None:
        return this[0] < before[1] - _CLOSE
    return abs(before[1] + this[1] - this[0] - behind[0]) <= _CLOSE


def _pieces(window: Window, at: int, size: int, lost: Mapping[int, int]) -> Iterator[_Piece]:
    usual, piece = None, None
    for box in _outer(window, at, size, lost):
        if box.name == b"moov":
            usual = _usual(window.read, box)
        elif box.name == b"moof" and usual is None:
            return
        elif box.name == b"moof":
            piece = box
        elif box.name == b"mdat" and piece and usual and piece.end == box.at:
            yield _piece(window, (piece, box), usual)


def _outer(window: Window, at: int, size: int, lost: Mapping[int, int]) -> Iterator[Box]:
    for _ in range(_MOST):
        at = lost.get(at, at)
        box = next(boxes(window.head, at, size), None)
        if box is None or box.end > size:
            return
        yield box
        at = box.end


def _usual(read: Read, index: Box) -> _Usual | None:
    """Of the only track; None where there are several."""
    tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak"]
    if len(tracks) != 1 or not is_sound(read, tracks[0]):
        return None
    scale = scale_and_length(read, inside(read, tracks[0], b"mdia", b"mdhd"))[0]
    number, _, lasts, size, _ = struct.unpack(">5I", read(inside(read, index, b"mvex", b"trex").content + 4, 20))
    return _Usual(number, scale, lasts, size)


def _piece(window: Window, both: tuple[Box, Box], usual: _Usual) -> _Piece:
    """What makes no sense is neither filled nor timed."""
    index, sound = both
    data = window.head(index.at, min(_LONGEST, index.end - index.at))

    def read(at: int, length: int) -> bytes:
        return data[at : at + length]

    try:
        (track,) = [box for box in boxes(read, index.content - index.at, len(data)) if box.name == b"traf"]
        size, begin, lasts = _track(read, track, usual)
    except (ArithmeticError, IndexError, ValueError, struct.error):
        return _Piece(index.at, sound.end, filled=False, times=None)
    times = None if begin is None else (begin / usual.scale, (begin + lasts) / usual.scale)
    return _Piece(index.at, sound.end, size == sound.end - sound.content, times)


def _track(read: Read, track: Box, usual: _Usual) -> tuple[int, int | None, int]:
    """(bytes of its samples, when it begins, how long it lasts)."""
    size = lasts = 0
    begin, each = None, (usual.lasts, usual.size)
    for box in boxes(read, track.content, track.end):
        if box.name == b"tfhd":
            each = _header(read, box, usual)
        elif box.name == b"tfdt":
            begin = int.from_bytes(read(box.content + 4, 8 if read(box.content, 1)[0] == _LONG else 4), "big")
        elif box.name == b"trun":
            more, longer = _run(read, box, each)
            size, lasts = size + more, lasts + longer
    return size, begin, lasts


def _header(read: Read, box: Box, usual: _Usual) -> tuple[int, int]:
    """How long and how large a sample is where a run does not say. Raises ValueError where it is of another track."""
    flags, number = struct.unpack(">II", read(box.content, 8))
    if number != usual.number:
        raise ValueError
    at, told = box.content + 8, {_LASTS: usual.lasts, _SIZE: usual.size}
    for flag, width in _WIDTHS.items():
        if flags & flag:
            told[flag] = int.from_bytes(read(at, width), "big")
            at += width
    if at > box.end:
        raise ValueError
    return told[_LASTS], told[_SIZE]


def _run(read: Read, box: Box, each: tuple[int, int]) -> tuple[int, int]:
    """(bytes, ticks). Raises ValueError where there is no room for what it tells."""
    flags, count = struct.unpack(">II", read(box.content, 8))
    at = box.content + 8 + 4 * bool(flags & _OFFSET) + 4 * bool(flags & _FIRST)
    told = [flag for flag in _EACH if flags & flag]
    if at + 4 * count * len(told) != box.end:
        raise ValueError
    numbers = struct.unpack(f">{count * len(told)}I", read(at, 4 * count * len(told)))
    lasts, size = (
        sum(numbers[told.index(flag) :: len(told)]) if flag in told else count * one
        for flag, one in zip((_EACH_LASTS, _EACH_SIZE), each, strict=True)
    )
    return size, lasts
