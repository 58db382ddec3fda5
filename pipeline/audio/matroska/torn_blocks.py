"""Matroska and WebM (RFC 9559) in which damage has hit heads: of blocks, of clusters, of what stands between them.

A decoder passes over an element whose name it does not know without a word, and goes on behind the next cluster's header where one
is too long: a flipped bit costs it one block, or five seconds. So all elements are walked through. Behind what is none the next is
looked for. What lies before it was one block, and gets its head again; or was the header of what follows, which is made anew by the
clusters around it; or becomes an element that nobody reads. All of that takes as many bytes as stand there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ebml import (
    CLUSTER,
    GROUP,
    INFO,
    LASTS,
    PADDING,
    SIMPLE_BLOCK,
    TIME,
    TRACKS,
    Element,
    elements,
    number,
    segment,
    times,
)
from pipeline.audio.matroska.element_walk import BLOCK_HEAD, OUTER, SHORT_NUMBER, ElementWalk
from pipeline.audio.matroska.tracks import track_numbers
from pipeline.audio.step_budget import StepBudget, TooManySteps

_MOST_STEPS = 1_000_000  # elements, and places where one may begin: some hours of sound
_HALF_SECOND = 500_000_000  # ns; clusters are further apart
_WIDEST = 8  # bytes of a length
_SHORT_PADDING = 127  # bytes that one of a byte tells
_OFTEN = 4  # usual steps between two blocks; what is more is no such time
_LONGER = 1.5  # times as long as the longest block, what is damaged may be one
_FEWEST = 3  # blocks that tell how long another is

Stretch = tuple[int, int]  # from which byte to which
Change = tuple[int, bytes]  # what should stand where


@dataclass(frozen=True, slots=True)
class Mended:
    """`changes`: what should stand where, instead of as many bytes there. `lost`: from where to where are none of its elements."""

    changes: tuple[Change, ...] = ()
    lost: tuple[Stretch, ...] = ()


@dataclass(slots=True)
class _Run:
    """Elements of one cluster that follow each other: the times of the first and the last of `count` blocks with sound, and the
    damage before them."""

    lost: Stretch | None = None
    first: int = 0
    last: int = 0
    count: int = 0
    lasts: int | None = None  # the last one, where it says so

    @property
    def step(self) -> float:
        """From one block to the next."""
        return (self.last - self.first) / max(1, self.count - 1)

    def note(self, time: int, lasts: int | None = None) -> None:
        """A block."""
        self.first, self.last, self.count = self.first if self.count else time, time, self.count + 1
        self.lasts = lasts


@dataclass(slots=True)
class _Cluster:
    """Its header is at `at`, up to `start`, and says that it ends at `said`; `at` is None where damage has taken it."""

    at: int | None
    start: int
    said: int | None
    end: int = 0
    time: int | None = None
    runs: list[_Run] = field(default_factory=lambda: [_Run()])

    @property
    def reaches(self) -> float | None:
        """How much later than it its last block ends; None of one without."""
        counted = [run for run in self.runs if run.count]
        if not counted:
            return None
        usual = max(run.step for run in counted)
        return counted[-1].last + (usual if counted[-1].lasts is None else counted[-1].lasts)


def torn_blocks(read: Read, at: int, end: int) -> Mended:
    """Of the file from `at` to `end`; nothing of one that is whole, or takes too many steps. Raises what `read` does alone."""
    try:
        outer = segment(read, at, end)
        return _Mending(read, end).mended(outer) if outer else Mended()
    except (TooManySteps, ArithmeticError, IndexError, ValueError, struct.error):
        return Mended()


class _Mending:
    """Of one file, once."""

    def __init__(self, read: Read, end: int) -> None:
        self._walk = ElementWalk(read, end, StepBudget(_MOST_STEPS))
        self._unit, self._sounds = 1_000_000, frozenset[int]()  # ns; numbers of tracks
        self._length: float | None = None  # as the file tells it
        self._is_cut = False  # it ends too soon
        self._mine = 0  # the track with sound that comes first
        self._open: _Cluster | None = None
        self._clusters, self._lost = list[_Cluster](), list[Stretch]()
        self._changes = dict[int, bytes]()
        self._head = 0  # bytes before the content of a block
        self._longest = self._blocks = 0  # bytes of one with sound, and how many there were

    def mended(self, outer: Element) -> Mended:
        """Raises TooManySteps, and ArithmeticError, IndexError, ValueError for what cannot be mended."""
        self._follow(outer.start)
        self._lost += [
            (cluster.at, cluster.start) for cluster in self._clusters if cluster.at and self._is_mislaid(cluster)
        ]
        if self._lost:
            for number, cluster in enumerate(self._clusters):
                self._finish(cluster, self._clusters[number - 1 : number], self._clusters[number + 1 : number + 2])
        return Mended(tuple(sorted(self._changes.items())), tuple(sorted(self._lost)))

    def _is_mislaid(self, cluster: _Cluster) -> bool:
        """Whether it ends elsewhere than it says; not where the file ends too soon, which is told otherwise."""
        is_cut = cluster.said is not None and cluster.end == self._walk.end < cluster.said
        return cluster.said not in (None, cluster.end) and not is_cut

    def _follow(self, at: int) -> None:
        before = at
        while at < self._walk.end:
            one = self._walk.element(at)
            if one:
                self._note(at, one)
                before, at = at, self._walk.behind(one)
            else:
                before, at = at, self._past_damage(before, at)
        self._close(at)

    def _note(self, at: int, one: Element) -> None:
        if one.name in OUTER:
            self._close(at)
        if one.name == CLUSTER:
            self._begin(_Cluster(at, one.start, one.end))
        elif one.name == TIME and self._open:
            self._open.time = number(self._walk.read, one)
        elif one.name in (SIMPLE_BLOCK, GROUP):
            self._note_block(at, one)
        elif one.name == INFO:
            told = times(self._walk.read, one)
            self._unit, self._length = told.unit, told.length
        elif one.name == TRACKS:
            self._walk.tracks, self._sounds = track_numbers(self._walk.read, one)

    def _note_block(self, at: int, one: Element) -> None:
        head, end = self._walk.block_head(one), self._walk.behind(one)
        track = head[0] & ~SHORT_NUMBER
        if (self._mine or track) != track or track not in (self._sounds or (track,)) or self._open is None:
            return
        self._mine, self._blocks = track, self._blocks + 1
        self._longest = max(self._longest, end - at)
        self._head = one.start - at if one.name == SIMPLE_BLOCK else 0
        inside = elements(self._walk.read, one.start, end) if one.name == GROUP else ()
        lasts = next((number(self._walk.read, told) for told in inside if told.name == LASTS), None)
        self._open.runs[-1].note(struct.unpack_from(">h", head, 1)[0], lasts)

    def _begin(self, cluster: _Cluster) -> None:
        self._open = cluster
        self._clusters.append(cluster)

    def _close(self, at: int) -> None:
        if self._open:
            self._open.end = at
        self._open = None

    def _past_damage(self, before: int, at: int) -> int:
        """Where elements follow each other again: the one before may have been too long, and hide them."""
        place = min(filter(None, (self._walk.again(before + 1), self._walk.again(at + 1))), default=self._walk.end)
        start = before if place < at or place - at == 1 else at
        one = self._walk.element(place) if place < self._walk.end else None
        if one is None and self._open and self._open.said and self._open.said > self._walk.end:
            self._open.end = self._open.said  # the file ends too soon; that is told otherwise
            self._open, self._is_cut = None, True
            return place
        lost = start, place
        self._lost.append(lost)
        block = [] if self._was_header(start, one) else self._block_again(lost)
        self._changes.update(block or _padding(*lost))
        if one and one.name == TIME and self._has_begun:
            self._close(start)
            self._begin(_Cluster(None, place, None, runs=[_Run(lost)]))
        elif one and one.name in (SIMPLE_BLOCK, GROUP) and not block:
            self._block_behind(lost)
        return place

    def _was_header(self, start: int, one: Element | None) -> bool:
        """Whether a cluster ends where the damage begins, or what follows is a time, or a block that is too early."""
        if self._open is None or one is None or one.name == TIME or start == self._open.said:
            return True
        head = self._walk.block_head(one)
        is_mine = bool(head) and head[0] & ~SHORT_NUMBER == self._mine
        return is_mine and struct.unpack_from(">h", head, 1)[0] < self._open.runs[-1].last

    @property
    def _has_begun(self) -> bool:
        """Whether the time of a cluster would be of another one."""
        return self._open is None or self._open.time is not None or self._open.runs[-1].count > 0

    def _block_behind(self, lost: Stretch) -> None:
        if self._open is None:
            self._begin(_Cluster(None, lost[1], None, runs=[_Run(lost)]))
        else:
            self._open.runs.append(_Run(lost))

    def _block_again(self, lost: Stretch) -> list[Change]:
        """The bytes as the one block with sound that they may have been, with another head."""
        start, end = lost
        is_one = self._blocks >= _FEWEST and self._head and end - start <= _LONGER * self._longest
        if not is_one or self._open is None or not self._open.runs[-1].count or end - start <= self._head + BLOCK_HEAD:
            return []
        run = self._open.runs[-1]
        content = start + self._head
        track, time, flags = struct.unpack(">BhB", self._walk.read(content, BLOCK_HEAD))
        due = round(run.last + run.step)
        time = time if run.last <= time <= run.last + _OFTEN * run.step else due
        whole = Element(SIMPLE_BLOCK, content, end - content)
        if track != SHORT_NUMBER | self._mine or not self._walk.is_block(whole):
            track, flags = SHORT_NUMBER | self._mine, SHORT_NUMBER
        run.note(time)
        length = _length(end - content, self._head - 1)
        return [(start, bytes((SIMPLE_BLOCK,)) + length + struct.pack(">BhB", track, time, flags))]

    def _finish(self, cluster: _Cluster, before: list[_Cluster], behind: list[_Cluster]) -> None:
        """Its header, or what is wrong in that."""
        until = behind[0].time if behind else None if self._is_cut or self._length is None else round(self._length)
        end, run = cluster.end, cluster.runs[-1]
        if cluster.time is None and run.lost:
            cluster.time = _by_others(cluster, before, until)
            is_whole = cluster.at is not None
            self._put(run.lost, (b"" if is_whole else CLUSTER.to_bytes(4, "big")), end, cluster.time)
        elif cluster.at is None and run.lost and cluster.time is not None:
            self._put(cluster.runs[0].lost or run.lost, CLUSTER.to_bytes(4, "big"), end, None)
        if cluster.at is not None and run.lost and (time := self._of_another(cluster, until)) is not None:
            cluster.end = run.lost[0]
            self._put(run.lost, CLUSTER.to_bytes(4, "big"), end, time)
        if cluster.at is not None and self._is_mislaid(cluster):
            name = cluster.at + 4
            self._changes[name] = _length(cluster.end - cluster.start, cluster.start - name)

    def _of_another(self, cluster: _Cluster, until: int | None) -> int | None:
        """When the cluster begins of which the blocks behind the last damage are, if they are not of this one: the last of them
        ends where the next cluster begins; or they are too early."""
        *_, sooner, run = [None, *cluster.runs]
        reaches = cluster.reaches
        if cluster.time is None or not run or not sooner or not run.count or reaches is None:
            return None
        if until is not None:
            time = round(until - reaches)
            return time if abs(time - cluster.time) * self._unit > _HALF_SECOND and time >= 0 else None
        return round(cluster.time + sooner.last + sooner.step - run.first) if run.first < sooner.last else None

    def _put(self, lost: Stretch, name: bytes, end: int, time: int | None) -> None:
        """A header of that name, if any, and its time, at the end of what was lost."""
        start, place = lost
        said = b"" if time is None else _numbered(TIME, max(0, time))
        for width in range(_WIDEST, 0, -1):
            head = name + (_length(end - place + len(said), width) if name else b"") + said
            rest = place - start - len(head)
            if rest == 0 or rest > 1:
                self._changes.update([*(_padding(start, place - len(head)) if rest else ()), (place - len(head), head)])
                return


def _by_others(cluster: _Cluster, before: list[_Cluster], until: int | None) -> int:
    """When it begins, by when the one before it ends, or the next begins."""
    reaches = cluster.reaches
    if until is not None and reaches is not None:
        return round(until - reaches)
    if before and before[0].time is not None and before[0].reaches is not None:
        return round(before[0].time + before[0].reaches)
    return 0


def _padding(start: int, end: int) -> list[Change]:
    """An element that nobody reads."""
    width = 1 if end - start - 2 < _SHORT_PADDING else _WIDEST
    return [(start, bytes((PADDING,)) + _length(end - start - 1 - width, width))] if end - start > 1 else []


def _length(count: int, width: int) -> bytes:
    """In so many bytes; where they do not suffice, as one that nobody knows."""
    most = (1 << 7 * width) - 1
    return (1 << 7 * width | min(count, most)).to_bytes(width, "big")


def _numbered(name: int, value: int) -> bytes:
    content = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes((name, SHORT_NUMBER | len(content))) + content
