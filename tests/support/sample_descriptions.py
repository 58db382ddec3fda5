"""MP4 files in which one track changes its format: each run of samples has a description of its own (ISO/IEC 14496-12, 8.5.2 and
8.7.4), as editors and cameras write them when recordings of several kinds are put into one without being encoded anew."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from tests.support.edit_lists import boxes_in

_PATH = (b"mdia", b"minf", b"stbl")
_MOVIE = 1000  # ticks of the movie per second
_BRAND = struct.pack(">I4s4s4x4s4s", 24, b"ftyp", b"isom", b"isom", b"mp42")
_MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
HERE = b"\0\0\0\1"  # flags: the samples are in the same file


@dataclass(frozen=True)
class _Track:
    """What stands in a file with one track: how its samples are described, how long they are in ticks, and their bytes."""

    scale: int
    description: bytes
    times: Sequence[tuple[int, int]]
    sizes: Sequence[int]
    chunks: Sequence[bytes]
    in_each: Sequence[int]

    @property
    def lasts(self) -> int:
        return sum(count * each for count, each in self.times)


def one_track(*files: bytes, reference: bytes = HERE, sort: bytes = b"url ", start: int = 0) -> bytes:
    """The samples of each, one after the other, in one track, each played from where the one before ends. `reference`: what the box
    of that `sort` says of the file in which the samples are. `start`: so many ticks are left out by an edit list."""
    tracks = [_track(file) for file in files]
    scale = math.lcm(*(track.scale for track in tracks))
    chunks = [chunk for track in tracks for chunk in track.chunks]
    places = accumulate((len(chunk) for chunk in chunks[:-1]), initial=len(_BRAND) + 8)
    times = [(count, each * (scale // track.scale)) for track in tracks for count, each in track.times]
    sizes = [size for track in tracks for size in track.sizes]
    runs = [(each, number) for number, track in enumerate(tracks, 1) for each in track.in_each]
    tables = (
        _numbers(b"stts", times)
        + _numbers(b"stsc", [(at, each, number) for at, (each, number) in enumerate(runs, 1)])
        + _box(b"stsz", struct.pack(f">3I{len(sizes)}I", 0, 0, len(sizes), *sizes))
        + _numbers(b"stco", [(place,) for place in places])
    )
    lasts = sum(count * each for count, each in times)
    moov = _movie(tracks, (scale, lasts), tables, _box(sort, reference), start)
    return _BRAND + _box(b"mdat", b"".join(chunks)) + _box(b"moov", moov)


def in_pieces(*files: bytes) -> bytes:
    """The same, each a piece (moof) of its own."""
    tracks = [_track(file) for file in files]
    scale = math.lcm(*(track.scale for track in tracks))
    tables = _numbers(b"stts", []) + _numbers(b"stsc", []) + _box(b"stsz", bytes(12)) + _numbers(b"stco", [])
    extends = _box(b"mvex", _box(b"trex", struct.pack(">6I", 0, 1, 1, 0, 0, 0)))
    begins = accumulate((track.lasts * scale // track.scale for track in tracks), initial=0)
    pieces = [
        _piece(track, number, begin, scale)
        for number, (track, begin) in enumerate(zip(tracks, begins, strict=False), 1)
    ]
    moov = _movie(tracks, (scale, 0), tables, _box(b"url ", HERE), 0)
    return _BRAND + _box(b"moov", moov + extends) + b"".join(pieces)


def seconds(file: bytes) -> float:
    """How long the one track of a file is by its table of times."""
    track = _track(file)
    return track.lasts / track.scale


def _piece(track: _Track, number: int, begin: int, scale: int) -> bytes:
    lengths = [each * (scale // track.scale) for count, each in track.times for _ in range(count)]
    rows = b"".join(struct.pack(">II", *row) for row in zip(lengths, track.sizes, strict=True))
    head = _box(b"tfhd", struct.pack(">3I", 0x020002, 1, number)) + _box(b"tfdt", struct.pack(">2I", 0, begin))

    def index(offset: int) -> bytes:
        run = _box(b"trun", struct.pack(">IIi", 0x301, len(lengths), offset) + rows)
        return _box(b"moof", _box(b"mfhd", struct.pack(">2I", 0, number)) + _box(b"traf", head + run))

    return index(len(index(0)) + 8) + _box(b"mdat", b"".join(track.chunks))


def _movie(tracks: Sequence[_Track], told: tuple[int, int], tables: bytes, reference: bytes, start: int) -> bytes:
    scale, lasts = told
    described = struct.pack(">II", 0, len(tracks)) + b"".join(track.description for track in tracks)
    references = _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1) + reference))
    media = _box(b"smhd", bytes(8)) + references + _box(b"stbl", _box(b"stsd", described) + tables)
    header = _box(b"mdhd", struct.pack(">5I2H", 0, 0, 0, scale, lasts, 0x55C4, 0))
    handler = _box(b"hdlr", bytes(8) + b"soun" + bytes(13))
    played = round(lasts * _MOVIE / scale)
    shown = struct.pack(">6I8x4h", 7, 0, 0, 1, 0, played, 0, 0, 256, 0) + _MATRIX + bytes(8)
    edits = _box(b"edts", _box(b"elst", struct.pack(">IIIiI", 0, 1, played, start, 1 << 16)))
    track = _box(b"tkhd", shown) + edits + _box(b"mdia", header + handler + _box(b"minf", media))
    movie = struct.pack(">6IH10x", 0, 0, 0, _MOVIE, played, 1 << 16, 256) + _MATRIX + bytes(24) + struct.pack(">I", 2)
    return _box(b"mvhd", movie) + _box(b"trak", track)


def _numbers(name: bytes, rows: Sequence[Sequence[int]]) -> bytes:
    return _box(name, struct.pack(">II", 0, len(rows)) + b"".join(struct.pack(f">{len(row)}I", *row) for row in rows))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def _track(file: bytes) -> _Track:
    track = _held(_held(file, b"moov"), b"trak")
    media = _held(track, b"mdia")
    table = media
    for name in _PATH[1:]:
        table = _held(table, name)
    (scale,) = struct.unpack_from(">I", _held(media, b"mdhd"), 12)
    times = list(struct.iter_unpack(">II", _held(table, b"stts")[8:]))
    even, count = struct.unpack_from(">II", _held(table, b"stsz"), 4)
    sizes = [even] * count if even else list(struct.unpack_from(f">{count}I", _held(table, b"stsz"), 12))
    places = [place for (place,) in struct.iter_unpack(">I", _held(table, b"stco")[8:])]
    runs = list(struct.iter_unpack(">III", _held(table, b"stsc")[8:]))
    in_each = [
        next(each for first, each, _ in reversed(runs) if first <= number) for number in range(1, len(places) + 1)
    ]
    chunks, done = [], 0
    for place, each in zip(places, in_each, strict=True):
        length = sum(sizes[done : done + each])
        chunks.append(file[place : place + length])
        done += each
    return _Track(scale, _held(table, b"stsd")[8:], times, sizes, chunks, in_each)


def _held(data: bytes, name: bytes) -> bytes:
    """The content of the first box of that name."""
    return next(content for found, content in boxes_in(data) if found == name)
