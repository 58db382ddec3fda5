"""What the index of a piece of an MP4 (moof; ISO/IEC 14496-12, 8.8) tells of each of its tracks: which bytes are its samples, and
when they are played."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import is_sound, scale_and_length
from pipeline.audio.mp4_boxes import Box, boxes, inside

_LONG = 1  # the version of a box whose times have 64 bits
_PLACE, _NUMBER, _LASTS, _SIZE, _FLAGS = 1, 2, 8, 16, 32  # flags of a track (tfhd): what is told behind its number,
_WIDTHS = {_PLACE: 8, _NUMBER: 4, _LASTS: 4, _SIZE: 4, _FLAGS: 4}  # in so many bytes
_FROM_PIECE = 0x20000  # and that its bytes are counted from where the piece begins
_OFFSET, _FIRST = 1, 4  # flags of a run (trun): each says that so many bytes come before its samples
_EACH_LASTS, _EACH_SIZE = 0x100, 0x200  # and these what is told of each, in four bytes
_EACH = (_EACH_LASTS, _EACH_SIZE, 0x400, 0x800)

Extent = tuple[int, int]  # bytes of the file


@dataclass(frozen=True, slots=True)
class Time:
    """When something is played, and how long it lasts, in seconds: of a beginning that damage has made huge no fraction is left in
    the end."""

    begin: float
    lasts: float

    @property
    def end(self) -> float:
        """When it is over."""
        return self.begin + self.lasts


@dataclass(frozen=True, slots=True)
class Usual:
    """Of one track: its ticks per second, how long and how large a sample is where a piece does not say, whether it is sound."""

    scale: int
    lasts: int
    size: int
    is_sound: bool


@dataclass(frozen=True, slots=True)
class Told:
    """Of one track in a piece: from where to where the samples of each run reach, and when they are played, if that is said."""

    number: int
    runs: tuple[Extent, ...]
    times: Time | None


@dataclass(frozen=True, slots=True)
class _Header:
    """The byte from which its samples are counted; how long and how large each is where a run does not say."""

    number: int
    base: int
    lasts: int
    size: int


def usual_tracks(read: Read, index: Box) -> dict[int, Usual]:
    """Each track by its number. Raises ValueError, IndexError and struct.error where the index makes no sense, and what `read`
    does."""
    extends = inside(read, index, b"mvex")
    for_all = [read(box.content + 4, 20) for box in boxes(read, extends.content, extends.end) if box.name == b"trex"]
    told = {number: (lasts, size) for number, _, lasts, size, _ in map(struct.Struct(">5I").unpack, for_all)}
    found = dict[int, Usual]()
    for track in boxes(read, index.content, index.end):
        if track.name == b"trak":
            header = inside(read, track, b"tkhd")
            is_long = read(header.content, 1)[0] == _LONG
            (number,) = struct.unpack(">I", read(header.content + (20 if is_long else 12), 4))
            scale = scale_and_length(read, inside(read, track, b"mdia", b"mdhd"))[0]
            found[number] = Usual(scale, *told.get(number, (0, 0)), is_sound(read, track))
    return found


def tracks_in(read: Read, piece: Box, origin: int, usual: Mapping[int, Usual]) -> Iterator[Told]:
    """Those of a piece of the MP4 that begins at the byte `origin`. Raises ValueError, LookupError, ArithmeticError, struct.error
    where it makes no sense, and what `read` does."""
    implied = piece.at
    for track in boxes(read, piece.content, piece.end):
        if track.name != b"traf":
            continue
        header = _header(read, inside(read, track, b"tfhd"), (origin, piece.at, implied), usual)
        told = _track(read, track, header, usual[header.number].scale)
        implied = max((last for _, last in told.runs), default=implied)
        yield told


def _header(read: Read, box: Box, places: tuple[int, int, int], usual: Mapping[int, Usual]) -> _Header:
    """`places`: of the file's beginning, the piece's, and that which is meant where nothing is said."""
    flags, number = struct.unpack(">II", read(box.content, 8))
    at, told = box.content + 8, {_LASTS: usual[number].lasts, _SIZE: usual[number].size}
    for flag, width in _WIDTHS.items():
        if flags & flag:
            told[flag] = int.from_bytes(read(at, width), "big")
            at += width
    if at > box.end:
        raise ValueError
    origin, piece, implied = places
    base = origin + told[_PLACE] if flags & _PLACE else piece if flags & _FROM_PIECE else implied
    return _Header(number, base, told[_LASTS], told[_SIZE])


def _track(read: Read, track: Box, header: _Header, scale: int) -> Told:
    runs, begin, lasts, at = list[Extent](), None, 0, header.base
    for box in boxes(read, track.content, track.end):
        if box.name == b"tfdt":
            begin = int.from_bytes(read(box.content + 4, 8 if read(box.content, 1)[0] == _LONG else 4), "big")
        elif box.name == b"trun":
            offset, size, longer = _run(read, box, header)
            start = at if offset is None else header.base + offset
            at, lasts = start + size, lasts + longer
            runs.append((start, at))
    times = None if begin is None else Time(begin / scale, lasts / scale)
    return Told(header.number, tuple(runs), times)


def _run(read: Read, box: Box, header: _Header) -> tuple[int | None, int, int]:
    """(where it begins, counted from the base, if that is said; bytes; ticks). Raises ValueError where there is no room for what it
    tells."""
    flags, count = struct.unpack(">II", read(box.content, 8))
    offset = struct.unpack(">i", read(box.content + 8, 4))[0] if flags & _OFFSET else None
    at = box.content + 8 + 4 * bool(flags & _OFFSET) + 4 * bool(flags & _FIRST)
    told = [flag for flag in _EACH if flags & flag]
    if at + 4 * count * len(told) != box.end:
        raise ValueError
    numbers = struct.unpack(f">{count * len(told)}I", read(at, 4 * count * len(told)))
    lasts, size = (
        sum(numbers[told.index(flag) :: len(told)]) if flag in told else count * one
        for flag, one in ((_EACH_LASTS, header.lasts), (_EACH_SIZE, header.size))
    )
    return offset, size, lasts
