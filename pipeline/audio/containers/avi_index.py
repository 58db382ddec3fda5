"""The index of an AVI (idx1, Microsoft's RIFF reference), which tells where each packet of sound lies, and so when it is played.

An AVI has no stamps: who reads it counts what has come. Where damage hides the header of a packet a demuxer passes over it without
a word, and all that follows is early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.chunks import Read

Absent = tuple[float, float]  # from when to when packets are missing, in seconds on the container's clock

_ENTRY = np.dtype([("name", "u1", 4), ("flags", "<u4"), ("at", "<u4"), ("length", "<u4")])
_LONGEST = 32 * 2**20  # bytes of an index in memory: some thirteen hours
_BLOCK = 256 * 1024  # bytes that are read at once
_HEADER = 8  # bytes of a packet's
_MOST_PARTS = 200  # of a list
_MOST_TRACKS = 100
_TRIED = 100  # packets that show what the index counts from
_MOSTLY = 0.5  # of its packets are there where an index means this file

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
        header, movie, index = parts[b"hdrl"], parts[b"movi"], parts[b"idx1"]
        entries = _entries(read, index, size)
        tracks = list(_tracks(read, header))[:_MOST_TRACKS]
        found = tuple(tuple(_absent(read, track, entries, (movie.start - 4, at))) for track in tracks)
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


def _absent(read: Read, track: _Track, entries: NDArray[np.void], bases: tuple[int, ...]) -> Iterator[Absent]:
    name = np.frombuffer(b"%02dwb" % track.number, "u1")
    own = entries[(entries["name"] == name).all(axis=1)]
    heads = np.concatenate((own["name"], own["length"][:, np.newaxis].copy().view("u1")), axis=1)
    places, tried = own["at"].astype(np.int64), slice(None, _TRIED)
    base = max(bases, key=lambda base: _there(read, places[tried] + base, heads[tried]).sum())
    there = _there(read, places + base, heads)
    if there.all() or there.mean() < _MOSTLY:
        return
    times = np.concatenate(([0.0], np.cumsum(_units(track, own["length"])))) * track.seconds
    edges = np.flatnonzero(np.diff(~there, prepend=False, append=False)).reshape(-1, 2)
    yield from ((float(times[first]), float(times[last])) for first, last in edges)


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
