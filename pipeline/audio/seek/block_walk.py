"""Blocks of Matroska and WebM, whose times are rounded to milliseconds: how many samples come before the block that a time means.

Such a time is off by half a millisecond, but blocks are further apart, so that there is no doubt which one is meant.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from pipeline.audio.duration.aac import FRAME_SAMPLES
from pipeline.audio.duration.matroska import BLOCK, CODEC, LACED, NUMBER, SCALE, SIMPLE_BLOCK, TIME, elements
from pipeline.audio.duration.opus_packets import packet_samples
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.step_budget import StepBudget

_BLOCK_HEAD = 6  # bytes: track, time, flags, and the first two of the packet
_MILLISECOND = 1_000_000  # ns, the usual unit of a block's time
_SHORT_NUMBER = 0x80  # a flag: a track's number is of one byte
_CODECS = {"opus": b"A_OPUS", "aac": b"A_AAC"}
_LONGEST = 64  # bytes of what is looked into
_NEAR = 2  # ms, between a stamp and the block that it means; every other block is further away
_KEPT = 60_000  # ms of blocks that are remembered: ffmpeg goes to one of them


@dataclass
class BlockPlaces:
    """The blocks up to a place: how many samples come before each, by its time behind the first one's, in ms."""

    rate: int
    opus: bool
    counted: int = 0
    first: int | None = None  # ms
    shortest: int = 1 << 30  # samples
    off: tuple[float, float] = (0.0, 0.0)  # by how many samples times are early, and late, at most
    last: deque[tuple[int, int]] = field(default_factory=deque)

    def take(self, time: int, head: bytes) -> None:
        """The next block. Raises ValueError where a packet is missing or empty, or there are several in it."""
        if head[3] & LACED or len(head) < _BLOCK_HEAD - 1:
            raise ValueError
        self.first = time if self.first is None else self.first
        behind = time - self.first
        late = behind * self.rate / 1000 - self.counted
        samples = packet_samples(*head.ljust(_BLOCK_HEAD, b"\0")[4:]) if self.opus else FRAME_SAMPLES
        self.off = min(self.off[0], late), max(self.off[1], late)
        self.shortest = min(self.shortest, samples)
        if self.off[1] - self.off[0] >= self.shortest:
            raise ValueError
        self.last.append((behind, self.counted))
        while self.last[0][0] < behind - _KEPT:
            self.last.popleft()
        self.counted += samples

    def before(self, seconds: float) -> int | None:
        """How many samples come before the block that begins so long after the first one; None where it may be none of them, or
        another."""
        near = sorted((abs(time - 1000 * seconds), counted) for time, counted in self.last)[:2]
        is_one = bool(near) and near[0][0] <= _NEAR and (len(near) == 1 or near[1][0] > _NEAR)
        return near[0][1] if is_one else None


def blocks_until(window: Window, at: int, sound: AudioStream, seconds: float, steps: StepBudget) -> BlockPlaces | None:
    """Of the only track with sound of that kind, up to that place. Raises TooManySteps, ValueError, IndexError."""
    places, tracks = BlockPlaces(sound.sample_rate, sound.codec == "opus"), _Tracks()
    cluster = mine = 0
    for name, start, end in elements(window.head, at, window.size, steps):
        if name in (SIMPLE_BLOCK, BLOCK):
            head = window.head(start, min(_BLOCK_HEAD, end - start))
            mine = mine or _SHORT_NUMBER | tracks.number_of(_CODECS[sound.codec])
            if head[0] != mine:
                continue
            places.take(cluster + struct.unpack_from(">h", head, 1)[0], head)
            if places.counted >= seconds * sound.sample_rate:
                return places
        elif name == TIME:
            cluster = int.from_bytes(window.head(start, end - start), "big")
        else:
            tracks.told(name, window.head(start, min(end - start, _LONGEST)))
    return None


class _Tracks:
    """What the tracks are called, and what is in them. Raises ValueError for times in another unit than milliseconds."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._codecs: list[bytes] = []

    def told(self, name: int, content: bytes) -> None:
        """What an element says."""
        if name == NUMBER:
            self._numbers.append(int.from_bytes(content, "big"))
        elif name == CODEC:
            self._codecs.append(content)
        elif name == SCALE and int.from_bytes(content, "big") != _MILLISECOND:
            raise ValueError

    def number_of(self, codec: bytes) -> int:
        """Of the only track with it. Raises ValueError where there is none, or several."""
        (number,) = [number for number, one in zip(self._numbers, self._codecs, strict=True) if one == codec]
        return number
