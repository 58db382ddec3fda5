"""Files joined in one stream of MPEG packets, of which a later one has its sound elsewhere: in a stream of another number, of
another kind, in packets of another length.

Whoever has opened the first goes on with its sound, and passes over all other sound without a word. Where the numbers are the same
it is one stream, whose clock and format follow the packets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from pipeline.audio.containers.table import MPEG, MPEGTS, OGG, Container
from pipeline.audio.containers.transport_stream import programs, sounds
from pipeline.audio.joined.page_numbers import PageNumbers
from pipeline.audio.joined.units import CERTAIN_PACKETS, packet_run
from pipeline.audio.joined.window import Window

_PACKET = 188  # bytes of a transport stream's
_MOST_TABLES = 100_000  # some hours of them
_PACK, _SYSTEM, _PRIVATE = 0xBA, 0xBB, 0xBD  # of a program stream
_SOUNDS = range(0xC0, 0xE0)
_PRIVATE_SOUNDS = range(0x80, 0xD0)  # what the first byte of a private packet says of DVDs' sound
_AC3 = 0x0B  # or the sound itself begins there
_GOES_ON = 10 * 90_000  # ticks of the clock from pack to pack; more is a leap
_LONGEST_HEADER, _MPEG2 = 40, 2  # bytes of one of MPEG-1: 6, up to 16 of stuffing, 12


class Programs(Protocol):
    """Follows a walk from unit to unit. `second`: the first byte of a program whose sound the first has not, as far as is known."""

    def see(self, window: Window, at: int, length: int) -> None:
        """The next units: bytes of them from `at` on."""

    @property
    def second(self) -> int | None: ...

    @property
    def ended(self) -> bool:
        """Whether nothing can change that any more: nobody walks through the rest of the file for each program in it."""


class ProgramStream:
    """A leap of the clock begins a part. One that has other sound, and nothing of the sound before it, is another program."""

    def __init__(self) -> None:
        self._pack = 0  # the newest
        self._clock = self._leap = 0  # of the newest pack, and by how much it is more than that of the one before
        self._before, self._part, self._begin = set[int](), set[int](), 0
        self._second: int | None = None

    def see(self, window: Window, at: int, length: int) -> None:
        kind = window.head(at, 4).ljust(4, b"\0")[3]
        if kind == _PACK:
            clock = _clock(window.head(at, 10))
            self._pack, self._leap, self._clock = at, clock - self._clock, clock
        elif kind == _SYSTEM:
            if not 0 <= self._leap <= _GOES_ON:
                self._ends()
        elif stream := _sound(window, at, kind):
            self._part.add(stream)

    def _ends(self) -> None:
        if self._second is None and self._is_other():
            self._second = self._begin
        self._before |= self._part
        self._part, self._begin = set(), self._pack

    def _is_other(self) -> bool:
        return bool(self._before and self._part) and self._before.isdisjoint(self._part)

    @property
    def second(self) -> int | None:
        return self._begin if self._second is None and self._is_other() else self._second

    @property
    def ended(self) -> bool:
        return self._second is not None


def _clock(head: bytes) -> int:
    """What a pack tells, in 90,000ths of a second; without the bits of which MPEG-1 and MPEG-2 have others."""
    first, *rest = head[4:9].ljust(5, b"\0")
    high = first >> 3 & 7 if first >> 6 else first >> 1 & 7
    if first >> 6:  # of MPEG-2 the marks between the bits stand elsewhere
        return (
            high << 30
            | (first & 3) << 28
            | rest[0] << 20
            | (rest[1] >> 3) << 15
            | (rest[1] & 3) << 13
            | rest[2] << 5
            | rest[3] >> 3
        )
    return high << 30 | rest[0] << 22 | (rest[1] >> 1) << 15 | rest[2] << 7 | rest[3] >> 1


def _sound(window: Window, at: int, kind: int) -> int:
    """Which stream of sound a packet is of, 0: none."""
    if kind in _SOUNDS:
        return kind
    told = window.head(_content(window.head(at, _LONGEST_HEADER), at), 1) if kind == _PRIVATE else b""
    return 0x100 | told[0] if told and (told[0] in _PRIVATE_SOUNDS or told[0] == _AC3) else 0


def _content(head: bytes, at: int) -> int:
    """Where it begins in a packet of MPEG-2, or of MPEG-1, whose header is stuffed and tells no length."""
    head = head.ljust(_LONGEST_HEADER, b"\0")
    if head[6] >> 6 == _MPEG2:
        return at + 9 + head[8]
    rest = head[6:].lstrip(b"\xff")
    rest = rest[2:] if rest[:1] and rest[0] >> 6 == 1 else rest
    stamps = {2: 5, 3: 10}.get(rest[0] >> 4, 1) if rest else 0
    return at + _LONGEST_HEADER - len(rest) + stamps


class TransportStream:
    """A program's table that has other sound than before, and nothing of it, begins another program."""

    def __init__(self) -> None:
        self.second: int | None = None
        self._spacing = self._looked = 0
        self._tables: dict[int, int] = {}
        self._listed = self._told = 0  # where the newest list of programs stands, and the newest table
        self._sounds: dict[int, frozenset[tuple[int, int]]] = {}

    def see(self, window: Window, at: int, length: int) -> None:
        run = packet_run(window, at)
        if self.ended or run is None or run.many < CERTAIN_PACKETS or self._looked > _MOST_TABLES:
            return
        if self._spacing not in (0, run.spacing):
            self.second = at
            return
        self._spacing = run.spacing
        data = window.head(at, length)
        rows = np.frombuffer(data, "u1", len(data) // run.spacing * run.spacing).reshape(-1, run.spacing)[:, run.mark :]
        begun = rows[:, 1] & 0x40 != 0
        identities = (rows[:, 1] & 0x1F).astype(int) << 8 | rows[:, 2]
        for row in np.flatnonzero(begun & (identities == 0)).tolist():
            self._tables |= programs(rows[row, :_PACKET].tobytes())
        for row in np.flatnonzero(begun & np.isin(identities, [0, *self._tables.values()])).tolist():
            self._looked += 1
            self._table(rows[row, :_PACKET].tobytes(), at + row * run.spacing)

    @property
    def ended(self) -> bool:
        return self.second is not None

    def _table(self, packet: bytes, at: int) -> None:
        if listed := programs(packet):
            self._listed = at
            gone = self._sounds and not self._sounds.keys() & listed.keys()
            self.second = at if gone and self.second is None else self.second
            return
        number, found = sounds(packet)
        if number and found:
            before = self._sounds.get(number, found)
            if not before & found and self.second is None:
                self.second = self._listed if self._listed > self._told else at
            self._sounds[number] = found
        self._told = at if number else self._told


FOLLOWED: Mapping[Container, Callable[[], Programs]] = {MPEG: ProgramStream, MPEGTS: TransportStream, OGG: PageNumbers}
