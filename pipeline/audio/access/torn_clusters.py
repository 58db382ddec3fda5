"""Clusters of a Matroska file (RFC 9559) out of which bytes were cut, as a bad copy leaves it: what follows in one without its
header is played by the clock of the cluster before, seconds early, or not at all.

One that says how long it is ends where another begins. Where nobody has told lengths, as in a stream that was recorded, the next
begins later than usual behind one that has swallowed another; only short files are searched for that.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from pipeline.audio.access.cluster_header import IN_CLUSTER, PADDING, TIME, Clock, Header, missing_header
from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ebml import CLUSTER, INFO, Element, element, elements, segment

_TRACKS, _TRACK, _NUMBER, _KIND, _SOUND = 0x1654AE6B, 0xAE, 0xD7, 0x83, 2
_DURATION, _SCALE, _FLOAT = 0x4489, 0x2AD7B1, 4  # and the bytes of a short number
_BEHIND = frozenset(
    (CLUSTER, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0x114D9B74)
)  # indexes, tags, files, chapters
_MARKS = re.compile(b"|".join(re.escape(name.to_bytes(4, "big")) for name in sorted(_BEHIND)))
_MILLISECOND = 1_000_000  # ns, the usual unit
_LONGEST, _LONGEST_STREAM = 64 * 2**20, 8 * 2**20  # bytes of a cluster, and of a file that is searched for all of them
_WINDOW = 256 * 1024  # bytes that are searched at once
_MOST_CLUSTERS, _MOST_TORN = 100_000, 100
_NAME, _SHORT = 4, 512  # bytes of such a name, and of what stands first in a cluster
_LATE = 1.5  # times the usual time between two clusters
_EVEN = 0.02  # a share of that by which it may differ


@dataclass(frozen=True, slots=True)
class Torn:
    """From where to where a cluster reaches that does not end where it should. `missing`: before which byte of the file a header
    belongs that is missing, and that header. `lost`: what is behind the damage cannot be read up to the end."""

    start: int
    end: int
    missing: Header | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class _Told:
    """What the headers say: in which unit times are, in ns, when the file ends in that unit, which tracks are sound."""

    unit: int = _MILLISECOND
    ends: float | None = None
    sounds: frozenset[int] = frozenset()


def torn_clusters(read: Read, at: int, size: int) -> tuple[Torn, ...]:
    """Of the Matroska file that begins at `at`, and is not as long as it says; none of one that takes too many steps to search."""
    outer = segment(read, at, size)
    try:
        if outer is not None and outer.end is None and size - at <= _LONGEST_STREAM:
            return tuple(_streamed(read, outer.start, size))
        if outer is not None and outer.end is not None and outer.end > size:
            return tuple(_of_known_length(read, outer.start, size))
    except (
        ArithmeticError,
        IndexError,
        ValueError,
        struct.error,
    ):  # too many steps, or its headers are no more sound than it is
        return ()
    return ()


def _of_known_length(read: Read, at: int, size: int) -> Iterator[Torn]:
    told, found = _Told(), 0
    for _ in range(_MOST_CLUSTERS):
        one = element(read, at) if at < size else None
        if one is None or one.end is None or found >= _MOST_TORN:
            return
        told = _told(read, one, told)
        if one.name != CLUSTER or _follows(read, one.end, size):
            at = one.end
            continue
        end = next(_headers(read, one.start, min(one.start + _LONGEST, size), size), None)
        if end is None:
            return  # the file is cut off here
        yield _torn(read, (one.start, end), told, (_begins(read, one.start), _begins(read, end) or told.ends))
        at, found = end, found + 1


def _streamed(read: Read, at: int, size: int) -> Iterator[Torn]:
    told = _Told()
    for header in elements(read, at, size):
        told = _told(read, header, told)
    marks = list(_headers(read, at, size, size))
    clusters = [
        (one.start, end, time)
        for start, end in pairwise([*marks, size])
        if (one := element(read, start)) and (time := _begins(read, start)) is not None
    ]
    steps = [later[2] - sooner[2] for sooner, later in pairwise(clusters)]
    usual = median(steps) if steps else 0
    is_even = bool(steps) and median(abs(step - usual) for step in steps) <= _EVEN * usual
    for (start, end, time), (*_, until) in zip(clusters, [*clusters[1:], (None,)], strict=True):
        if until is None or until - time > _LATE * usual:
            else_at = round(time + usual) if is_even else None
            torn = _torn(read, (start, end), told, (time, until), else_at, streamed=True)
            if torn.missing or torn.lost:
                yield torn


def _told(read: Read, one: Element, before: _Told) -> _Told:
    """What is known of the file behind this element."""
    if one.end is None or one.name not in (INFO, _TRACKS):
        return before
    parts = list(elements(read, one.start, one.end))
    if one.name == _TRACKS:
        return replace(before, sounds=frozenset(_sounds(read, [each for each in parts if each.name == _TRACK])))
    unit, ends = _MILLISECOND, None
    for each in parts:
        if each.name == _SCALE:
            unit = _number(read, each)
        elif each.name == _DURATION:
            (ends,) = struct.unpack(">f" if each.length == _FLOAT else ">d", read(each.start, each.length or 0))
    return replace(before, unit=unit, ends=ends)


def _sounds(read: Read, tracks: Sequence[Element]) -> Iterator[int]:
    for track in tracks:
        inside = {each.name: each for each in elements(read, track.start, track.end or track.start)}
        if _NUMBER in inside and _KIND in inside and _number(read, inside[_KIND]) == _SOUND:
            yield _number(read, inside[_NUMBER])


def _number(read: Read, one: Element) -> int:
    return int.from_bytes(read(one.start, min(one.length or 0, 8)), "big")


def _follows(read: Read, at: int, size: int) -> bool:
    """Whether what may stand behind a cluster begins there, or nothing does."""
    one = element(read, at) if at < size else None
    return at == size or (one is not None and one.name in (*_BEHIND, PADDING))


def _headers(read: Read, at: int, end: int, size: int) -> Iterator[int]:
    """Where a cluster begins, or what else may stand behind one and goes on up to the end of the file."""
    while at < end:
        for mark in _MARKS.finditer(read(at, min(_WINDOW, end - at))):
            if _is_header(read, at + mark.start(), size):
                yield at + mark.start()
        at += _WINDOW - _NAME + 1


def _is_header(read: Read, at: int, size: int) -> bool:
    one = element(read, at)
    if one is None or one.name != CLUSTER:
        return one is not None and _ends_with(read, at, size)
    inside = element(read, one.start)
    return inside is not None and inside.name in IN_CLUSTER and (inside.length or 0) <= _SHORT


def _ends_with(read: Read, at: int, size: int) -> bool:
    last = None
    for last in elements(read, at, size):
        if last.name not in (*_BEHIND, PADDING):
            return False
    return last is not None and last.end == size


def _begins(read: Read, at: int) -> int | None:
    """When the cluster begins whose header, or whose content, is there; None where none does."""
    one = element(read, at)
    if one is not None and one.name == CLUSTER:
        at = one.start
    elif one is None or one.name not in IN_CLUSTER:
        return None
    return next((_number(read, each) for each in elements(read, at, at + _SHORT) if each.name == TIME), None)


def _torn(
    read: Read,
    place: tuple[int, int],
    told: _Told,
    times: tuple[int | None, float | None],
    else_at: int | None = None,
    *,
    streamed: bool = False,
) -> Torn:
    (start, end), (begins, until) = place, times
    if begins is None:
        return Torn(start, end)
    clock = Clock(begins, until, else_at, told.unit, streamed)
    is_whole, header = missing_header(read(start, end - start), told.sounds, clock)
    missing = (start + header[0], header[1]) if header else None
    return Torn(start, end, missing, lost=not is_whole and header is None)
