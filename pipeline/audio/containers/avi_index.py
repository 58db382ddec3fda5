"""The index of an AVI (idx1, Microsoft's RIFF reference), which tells where each packet of sound lies, and so when it is played.

An AVI has no stamps: who reads it counts what has come. Where damage hides the header of a packet a demuxer passes over it without
a word, and all that follows is early. Where bytes were cut out of it, what follows them lies so much nearer to the front.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.chunks import Read


class Absent(NamedTuple):
    """From when to when there is nothing, in seconds on the container's clock. `lost`: packets are missing; else it is silent."""

    start: float
    end: float
    lost: bool = True


_ENTRY = np.dtype([("name", "u1", 4), ("flags", "<u4"), ("at", "<u4"), ("length", "<u4")])
_LONGEST = 32 * 2**20  # bytes of an index in memory: some thirteen hours
_BLOCK = 256 * 1024  # bytes that are read at once
_HEADER = 8  # bytes of a packet's
_MOST_PARTS = 200  # of a list
_MOST_TRACKS = 100
_TRIED = 100  # packets that show what the index counts from
_ENOUGH = 0.2  # of its packets are there where an index means this file
_SLACK = 3  # of the longest packet: what may be lost besides the bytes that were cut out, for the ends of packets around them

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Track:
    """A track of sound: its number among all, the seconds of a unit, and the bytes of one, 0 where each packet is so many units as
    blocks of `block` bytes begin in it."""

    number: int
    seconds: float
    unit: int
    block: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A chunk, or a list by its own name: where its content begins and ends."""

    name: bytes
    start: int
    end: int


def absent_packets(read: Read, at: int, size: int) -> tuple[tuple[Absent, ...], ...]:
    """For each sound track of the AVI that begins there, the stretches of which the index tells, and whose packets are not where it
    says; none at all where it has no index, or one that means another file. Never raises."""
    try:
        parts = {part.name: part for part in _parts(read, at + 12, size)}
        header, movie = parts[b"hdrl"], parts[b"movi"]
        index, missing = (parts[b"idx1"], 0) if b"idx1" in parts else _index_before(read, movie, size)
        entries = _entries(read, index, size)
        there = _Packets(read, entries, (movie.start - 4, at), missing).there()
        tracks = list(_tracks(read, header))[:_MOST_TRACKS]
        found = tuple(tuple(_absent(track, entries, there)) for track in tracks)
        return found if any(found) else ()
    except (ArithmeticError, KeyError, IndexError, ValueError, struct.error):
        return ()


def _parts(read: Read, at: int, end: int) -> Iterator[_Part]:
    for _ in range(_MOST_PARTS):
        head = read(at, 12) if at + _HEADER <= end else b""
        if len(head) < _HEADER:
            return
        name, length = struct.unpack_from("<4sI", head)
        is_list = name == b"LIST"
        yield _Part(head[8:12] if is_list else name, at + (12 if is_list else _HEADER), at + _HEADER + length)
        at += _HEADER + length + length % 2


def _tracks(read: Read, header: _Part) -> Iterator[_Track]:
    lists = [part for part in _parts(read, header.start, header.end) if part.name == b"strl"]
    for number, inside in enumerate(lists):
        parts = {part.name: part for part in _parts(read, inside.start, inside.end)}
        kind, scale, rate, unit = struct.unpack("<4s16xII16xI", read(parts[b"strh"].start, 48))
        if kind == b"auds":
            (block,) = struct.unpack("<12xH", read(parts[b"strf"].start, 14))
            yield _Track(number, scale / rate, unit, block)


def _entries(read: Read, index: _Part, size: int) -> NDArray[np.void]:
    end = min(index.end, size)
    if end - index.start > _LONGEST:
        raise ValueError
    data = b"".join(read(at, min(_BLOCK, end - at)) for at in range(index.start, end, _BLOCK))
    return np.frombuffer(data, _ENTRY, len(data) // _ENTRY.itemsize)


def _index_before(read: Read, movie: _Part, size: int) -> tuple[_Part, int]:
    """An index that lies nearer to the front than it should, and by how many bytes. Raises ValueError where there is none."""
    due, end = movie.end + movie.end % 2, size
    while end > max(movie.start, size - _LONGEST):
        start = max(movie.start, end - _BLOCK)
        data = read(start, end - start + _HEADER)
        place = data.rfind(b"idx1")
        if 0 <= place <= len(data) - _HEADER:
            (length,) = struct.unpack_from("<I", data, place + 4)
            index = _Part(b"idx1", start + place + _HEADER, start + place + _HEADER + length)
            if index.end <= size and start + place < due:
                return index, due - (start + place)
        end = start
    raise ValueError


def _absent(track: _Track, entries: NDArray[np.void], there: Flags) -> Iterator[Absent]:
    name = np.frombuffer(b"%02dwb" % track.number, "u1")
    own = (entries["name"] == name).all(axis=1)
    lost = ~there[own]
    if not lost.any() or lost.mean() > 1 - _ENOUGH:
        return
    times = np.concatenate(([0.0], np.cumsum(_units(track, entries["length"][own])))) * track.seconds
    edges = np.flatnonzero(np.diff(lost, prepend=False, append=False)).reshape(-1, 2)
    yield from (Absent(float(times[first]), float(times[last])) for first, last in edges)


class _Packets:
    """Those that an index tells of, in a file out of which so many bytes are `missing`. Places count from one of the `bases`."""

    def __init__(self, read: Read, entries: NDArray[np.void], bases: tuple[int, ...], missing: int) -> None:
        lengths = entries["length"][:, np.newaxis].copy().view("u1")
        self._read, self._missing = read, missing
        self._heads = np.concatenate((entries["name"], lengths), axis=1)
        self._lengths = entries["length"].astype(np.int64)
        places, tried = entries["at"].astype(np.int64), slice(None, _TRIED)
        base = max(bases, key=lambda base: _there(read, places[tried] + base, self._heads[tried]).sum())
        self._places = places + base

    def there(self) -> Flags:
        """Whether the header of each can be found. Raises ValueError where what is missing is not one stretch of the packets."""
        there = _there(self._read, self._places, self._heads)
        if not self._missing:
            return there
        moved = self._places - self._missing
        behind = _there(self._read, moved, self._heads)
        counted = np.concatenate(([0], np.cumsum(there))) + behind.sum() - np.concatenate(([0], np.cumsum(behind)))
        cut = int(counted.argmax())
        before = np.flatnonzero(there[:cut])
        swallowed = self._places[before[-1]] + _HEADER + self._lengths[before[-1]] if len(before) else 0
        there = np.concatenate((there[:cut], behind[cut:] & (moved[cut:] >= swallowed)))
        lost = (_HEADER + self._lengths + self._lengths % 2)[~there].sum()
        if not 0 <= lost - self._missing <= _SLACK * (_HEADER + self._lengths.max()):
            raise ValueError
        return there


def _units(track: _Track, lengths: NDArray[np.uint32]) -> NDArray[np.float64]:
    """How many each packet has."""
    if track.unit:
        return lengths / track.unit
    return np.ceil(lengths / track.block) if track.block else np.ones(len(lengths))


def _there(read: Read, places: NDArray[np.int64], heads: NDArray[np.uint8]) -> Flags:
    """Whether the header of each packet is where it should be. Places go forward."""
    found, first = np.zeros(len(places), np.bool_), 0
    while first < len(places):
        at = int(places[first])
        data = np.frombuffer(read(at, _BLOCK), "u1")
        last = max(first + 1, int(np.searchsorted(places, at + len(data) - _HEADER, "right")))
        inside = (places[first:last] - at)[:, np.newaxis] + np.arange(_HEADER)
        if len(data) >= _HEADER:
            found[first:last] = (data[inside.clip(0, len(data) - 1)] == heads[first:last]).all(axis=1)
        first = last
    return found
