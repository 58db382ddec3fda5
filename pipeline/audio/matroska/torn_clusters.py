"""Clusters of a Matroska file (RFC 9559) out of which bytes were cut, as a bad copy leaves it: what follows in one without its
header is played by the clock of the cluster before, seconds early, or not at all.

One that says how long it is ends where another begins. Where nobody has told lengths, as in a stream that was recorded, the next
begins later than usual behind one that has swallowed another; only short files are searched for that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ebml import (
    BEHIND_SOUND,
    CHAPTERS,
    CLUSTER,
    FILES,
    INDEX,
    INFO,
    TAGS,
    TIME,
    TRACKS,
    Element,
    Times,
    element,
    elements,
    number,
    segment,
    times,
)
from pipeline.audio.matroska.cluster_header import IN_CLUSTER, Clock, Header, missing_header
from pipeline.audio.matroska.tracks import track_numbers
from pipeline.audio.step_budget import StepBudget

_MARKS = tuple(name.to_bytes(4, "big") for name in (CLUSTER, INDEX, TAGS, FILES, CHAPTERS))
_LONGEST, _LONGEST_STREAM = 16 * 2**20, 8 * 2**20  # bytes of a cluster, and of a file that is searched for all of them
_WINDOW = 256 * 1024  # bytes that are searched at once
_NAME, _SHORT = 4, 512  # bytes of such a name, and of what stands first in a cluster
_LEAST_SOUND = 1024  # bytes; fewer hold none
_LATE = 1.5  # times the usual time between two clusters
_EVEN = 0.02  # a share of that by which it may differ


@dataclass(frozen=True, slots=True)
class Torn:
    """From where to where a cluster reaches that does not end where it should. `missing`: before which byte of the file a header
    belongs that is missing, and that header."""

    start: int
    end: int
    missing: Header | None = None


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Where its content is, and when it begins, in the unit of the file."""

    start: int
    end: int
    begins: int


def torn_clusters(read: Read, at: int, size: int) -> tuple[Torn, ...]:
    """Of the Matroska file that begins at `at`; none of one that is as long as it says, or takes too many steps to search."""
    steps = StepBudget.for_file()
    try:
        outer = segment(steps.counted(read), at, size)
        if outer is None or (outer.end is not None and outer.end <= size):
            return ()
        search = _Search(read, size, steps)
        return tuple(search.of_a_stream(outer.start) if outer.end is None else search.of_known_lengths(outer.start))
    except (ArithmeticError, IndexError, ValueError, struct.error):  # too many steps, or headers as damaged as the rest
        return ()


class _Search:
    """Through one file, whose clusters are torn or not."""

    def __init__(self, read: Read, size: int, steps: StepBudget) -> None:
        self._read, self._size, self._steps = steps.counted(read), size, steps
        self._times = Times()
        self._sounds = frozenset[int]()  # the numbers of tracks with sound

    def of_known_lengths(self, at: int) -> Iterator[Torn]:
        """From header to header."""
        while at < self._size and (one := element(self._read, at)) and one.end is not None:
            self._note(one)
            at = one.end
            if one.name == CLUSTER and not self._follows(one.end):
                end = next(self._headers(one.start, min(one.start + _LONGEST, self._size)), None)
                if end is None:
                    return  # the file is cut off here
                yield self._torn(one.start, end)
                at = end

    def of_a_stream(self, at: int) -> Iterator[Torn]:
        """By the times that all headers tell."""
        if self._size - at > _LONGEST_STREAM:
            return
        for one in elements(self._read, at, self._size):
            self._note(one)
        clusters = list(self._clusters(at))
        steps = [later.begins - sooner.begins for sooner, later in pairwise(clusters)]
        usual = median(steps) if steps else 0
        is_even = bool(steps) and median(abs(step - usual) for step in steps) <= _EVEN * usual
        for cluster, step in zip(clusters, [*steps, None], strict=True):
            if step is None or step > _LATE * usual:
                until = None if step is None else cluster.begins + step
                swallowed = round(cluster.begins + usual) if is_even else None
                clock = Clock(cluster.begins, until, self._times.unit, streamed=True, swallowed=swallowed)
                end = self._without_stray(cluster) if step is None else cluster.end
                is_whole, missing = self._looked_into(cluster.start, end, clock)
                if missing or not is_whole:
                    yield Torn(cluster.start, cluster.end, missing)

    def _without_stray(self, last: _Cluster) -> int:
        """Where it ends, without a few bytes that stand behind the file and begin as nothing does that stands in a cluster."""
        reached, is_cut_off = last.start, False
        for one in elements(self._read, last.start, last.end):
            is_known = one.name in IN_CLUSTER
            if not is_known or one.end is None or one.end > last.end:
                is_cut_off = is_known
                break
            reached = one.end
        return last.end if is_cut_off or last.end - reached >= _LEAST_SOUND else reached

    def _torn(self, start: int, end: int) -> Torn:
        begins, until = self._begins(start), self._behind(end)
        if begins is None:
            return Torn(start, end)
        return Torn(start, end, self._looked_into(start, end, Clock(begins, until, self._times.unit))[1])

    def _looked_into(self, start: int, end: int, clock: Clock) -> tuple[bool, Header | None]:
        """Whether the content can be read up to its end, and the header that it lacks."""
        is_whole, header = missing_header(self._read(start, end - start), self._sounds, clock, self._steps)
        return is_whole, (start + header[0], header[1]) if header else None

    def _clusters(self, at: int) -> Iterator[_Cluster]:
        for start, end in pairwise([*self._headers(at, self._size), self._size]):
            one = element(self._read, start)
            if one and one.name == CLUSTER and (begins := self._begins(one.start)) is not None:
                yield _Cluster(one.start, end, begins)

    def _begins(self, start: int) -> int | None:
        """When the cluster begins whose content begins there."""
        inside = elements(self._read, start, start + _SHORT)
        return next((number(self._read, one) for one in inside if one.name == TIME), None)

    def _behind(self, at: int) -> float | None:
        """When the cluster begins whose header is there; where there is none, when the file ends."""
        one = element(self._read, at)
        return self._begins(one.start) if one and one.name == CLUSTER else self._times.length

    def _note(self, one: Element) -> None:
        """What the file says of itself."""
        if one.name == INFO:
            self._times = times(self._read, one)
        elif one.name == TRACKS and one.end is not None:
            self._sounds = track_numbers(self._read, one)[1]

    def _headers(self, at: int, end: int) -> Iterator[int]:
        """Where a cluster begins, or what else may stand behind one and goes on up to the end of the file."""
        while at < end:
            for place in _places(self._read(at, min(_WINDOW, end - at))):
                if self._is_header(at + place):
                    yield at + place
            at += _WINDOW - _NAME + 1

    def _is_header(self, at: int) -> bool:
        one = element(self._read, at)
        if one is None or one.name != CLUSTER:
            return one is not None and self._ends_with(at)
        inside = element(self._read, one.start)
        return inside is not None and inside.name in IN_CLUSTER and (inside.length or 0) <= _SHORT

    def _ends_with(self, at: int) -> bool:
        last = None
        for last in elements(self._read, at, self._size):
            if last.name not in BEHIND_SOUND:
                return False
        return last is not None and last.end == self._size

    def _follows(self, at: int) -> bool:
        """Whether what may stand behind a cluster begins there, or nothing does."""
        one = element(self._read, at) if at < self._size else None
        return at == self._size or (one is not None and one.name in (CLUSTER, *BEHIND_SOUND))


def _places(data: bytes) -> list[int]:
    """Where there is one of those names."""
    found = list[int]()
    for mark in _MARKS:
        place = data.find(mark)
        while place >= 0:
            found.append(place)
            place = data.find(mark, place + 1)
    return sorted(found)
