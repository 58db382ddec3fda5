"""Packets with times in milliseconds: their samples are counted, and the times have to agree, or something may be missing."""

from __future__ import annotations

from pipeline.audio.matroska.lacing import packets
from pipeline.audio.seek.walks.packet_sizes import PacketSizes


class EvenTimes:
    """Takes the packets up to the sample `latest`. `last`: (where the file can be begun with, samples before what a decoder makes
    of it), of the last such place there."""

    def __init__(self, rate: int, latest: int) -> None:
        self.counted = 0
        self.last: tuple[int, int] | None = None
        self._rate, self._latest = rate, latest
        self._first: int | None = None  # ms
        self._shortest = 1 << 30  # samples
        self._off = (0.0, 0.0)  # by how many samples times are early, and late, at most

    @property
    def is_past(self) -> bool:
        """Whether that sample is behind."""
        return self.counted > self._latest

    def take(self, time: int, sizes: PacketSizes, head: bytes, size: int, begins: int) -> None:
        """The next packet, whose time is in ms; where the file can be begun with it, or 0. Raises ValueError where one before it is
        missing, and what `sizes` raises."""
        self._first = time if self._first is None else self._first
        late = (time - self._first) * self._rate / 1000 - self.counted
        self._off = min(self._off[0], late), max(self._off[1], late)
        before = self.counted
        self._count(sizes.samples(head, size))
        if begins and before <= self._latest:
            self.last = begins, before

    def take_all(self, time: int, sizes: PacketSizes, block: bytes, begins: int) -> None:
        """The same of a block with several packets, of which the first has the time."""
        (at, size), *others = packets(block)
        self.take(time, sizes, block[at:], size, begins)
        for at, size in others:
            self._count(sizes.samples(block[at : at + size], size))

    def _count(self, samples: int) -> None:
        self.counted += samples
        self._shortest = min(self._shortest, samples or self._shortest)
        if self._off[1] - self._off[0] >= self._shortest:
            raise ValueError
