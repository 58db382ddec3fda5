"""The header of a Matroska cluster that was cut out of the file, by the blocks that are left of it.

A block says how much later than its cluster it sounds (RFC 9559). Behind the place where those times leap, or where again elements
follow each other up to the next header, blocks are of another cluster, or of the same: of the one in which the last of them ends
where the next cluster begins.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ebml import (
    BLOCK,
    CHECKSUM,
    CLUSTER,
    GROUP,
    PADDING,
    SIMPLE_BLOCK,
    TIME,
    element,
    elements,
)
from pipeline.audio.step_budget import StepBudget

_PLACE, _SIZE_BEFORE, _SILENT, _ENCRYPTED = 0xA7, 0xAB, 0x5854, 0xAF
IN_CLUSTER = frozenset((TIME, SIMPLE_BLOCK, GROUP, CHECKSUM, PADDING, _PLACE, _SIZE_BEFORE, _SILENT, _ENCRYPTED))
_STARTS = re.compile(b"[\xa0\xa3]")  # of a block
_SHORT, _TRACK = 0x80, 0x7F  # a track's number is of one byte, and which
_HALF_SECOND = 500_000_000  # ns; clusters are further apart
_WINDOW = 256 * 1024  # bytes in which elements are looked for behind damage
_FEWEST = 3  # blocks of which the times tell something
_OFTEN = 4  # usual steps between two blocks; what is more is a leap

Header = tuple[int, bytes]  # before which byte of the cluster's content it belongs


@dataclass(frozen=True, slots=True)
class Clock:
    """When a cluster begins, and what follows it; None where that is not told. `unit`: of both, in ns. `streamed`: nobody has said
    how long the cluster is, so that a leap alone may be a pause. `swallowed`: when one usually begins that this one holds."""

    begins: int
    until: float | None
    unit: int
    streamed: bool = False
    swallowed: int | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    """Where its element begins, and how much later than its cluster it sounds."""

    at: int
    time: int


def missing_header(
    content: bytes, sounds: frozenset[int], clock: Clock, steps: StepBudget
) -> tuple[bool, Header | None]:
    """Whether all of a cluster's content can be read, and the header that it lacks. `sounds`: the numbers of tracks with sound.

    Raises TooManySteps, and IndexError, ValueError, struct.error for what no cluster holds.
    """
    read = steps.counted(lambda at, length: content[at : at + length])
    before, stop = _blocks(read, 0, len(content), sounds)
    is_whole = stop == len(content)
    behind = [] if is_whole else _again(read, content, stop, sounds)
    return is_whole, _header(before, behind, clock)


def _blocks(read: Read, at: int, end: int, sounds: frozenset[int]) -> tuple[list[_Block], int]:
    """Those of the track with sound that comes first, and up to where elements of a cluster follow each other."""
    blocks, mine = list[_Block](), 0
    while at < end:
        one = element(read, at)
        if one is None or one.name not in IN_CLUSTER or one.end is None or one.end > end:
            break
        head = _head(read, one.name, one.start, one.end)
        if head and head[0] & _SHORT and (track := head[0] & _TRACK) in sounds and mine in (0, track):
            mine = track
            blocks.append(_Block(at, struct.unpack_from(">h", head, 1)[0]))
        at = one.end
    return blocks, at


def _head(read: Read, name: int, start: int, end: int) -> bytes:
    """Of a block: its track, its time; nothing of another element."""
    if name == GROUP:
        inside = next((each for each in elements(read, start, end) if each.name == BLOCK), None)
        return read(inside.start, 3) if inside else b""
    return read(start, 3) if name == SIMPLE_BLOCK else b""


def _again(read: Read, content: bytes, at: int, sounds: frozenset[int]) -> list[_Block]:
    """The blocks that are there again behind damage: those that follow each other exactly up to the end."""
    for start in _STARTS.finditer(content, at, at + _WINDOW):
        blocks, stop = _blocks(read, start.start(), len(content), sounds)
        if stop == len(content) and blocks:
            return blocks
    return []


def _header(before: Sequence[_Block], behind: Sequence[_Block], clock: Clock) -> Header | None:
    blocks = (*before, *behind)
    if len(blocks) < _FEWEST:
        return None
    steps = [later.time - sooner.time for sooner, later in pairwise(blocks)]
    usual = max(1, median(steps))
    first = len(before) if behind else 1 + max(range(len(steps)), key=lambda place: abs(steps[place] - usual))
    leap = steps[first - 1] if first else 0
    time = _time(blocks[-1].time + usual, leap, clock)
    is_own = time is None or abs(time - clock.begins) * clock.unit <= _HALF_SECOND
    is_leap = leap < 0 or (leap > usual * _OFTEN and not clock.streamed)
    if not behind and (is_own or not is_leap):
        return None
    time = clock.begins if time is None or is_own else time
    if first and time - clock.begins + leap < 0:
        return None  # nothing is sooner than what stands before it
    return blocks[first].at, _cluster(time)


def _time(reaches: float, leap: int, clock: Clock) -> int | None:
    """When the cluster begins of which the last block reaches so far; None where nobody can say."""
    if clock.until is not None:
        return round(clock.until - reaches)
    return clock.swallowed if leap < 0 else None


def _cluster(time: int) -> bytes:
    """The header of one whose length nobody knows."""
    number = time.to_bytes(max(1, (time.bit_length() + 7) // 8), "big")
    return CLUSTER.to_bytes(4, "big") + b"\xff" + bytes((TIME, 0x80 | len(number))) + number
