"""Opus in WebM, as browsers record it: the blocks that are there, against the times they state (RFC 9559)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ebml import (
    BLOCK,
    CLUSTER,
    GROUP,
    INFO,
    NUMBER,
    SCALE,
    SEGMENT,
    SIMPLE_BLOCK,
    TIME,
    TRACK,
    TRACKS,
)
from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.duration.opus_packets import RATE, loudness, packet_samples
from pipeline.audio.step_budget import StepBudget

_AUDIO, CODEC, _DELAY, _CHANNELS, _DISCARD = 0xE1, 0x86, 0x56AA, 0x9F, 0x75A2
_OPENED = (SEGMENT, CLUSTER, TRACKS, TRACK, GROUP, INFO, _AUDIO)  # elements that are looked into
_PASSED = {  # elements that may stand beside the sound: headers, padding, indexes, descriptions, chapters, what a track is
    0x1A45DFA3, 0x2AD7B1, 0xEC, 0xBF, 0x114D9B74, 0x1C53BB6B, 0x1254C367, 0x1043A770, 0xA7, 0xAB, 0x73C5, 0x83, 0x9C, 0x22B59C,
    0x63A2, 0x56BB, 0xB5, 0x6264, 0x4D80, 0x5741, 0x4489, 0x4461, 0x73A4, 0xB9, 0x88, 0x55AA, 0x536E, 0x258688, 0x23E383, 0xFB,
    0x9B, 0x55EE, 0xAA, 0x6DE7, 0x6DF8, 0x52F1,
}  # fmt: skip
_MILLISECOND = 1_000_000  # ns, the usual unit of a block's time
_SLACK_MS = 60  # that a block may be off: recorders round, and jitter by one packet
LACED = 0x06
_HEADER = 17  # bytes of a name and a length at most
_SHORT_NUMBER = 0x80  # a flag: a track's number is of one byte
_SHORTEST = 5  # bytes of a block: which track, when, how, and the first of its packet
_SAMPLES_A_MS = RATE // 1000


@dataclass
class _Track:
    """What was found so far of the only track: samples, and by how many the times of its blocks are later than those counted."""

    number: int = 0
    codecs: int = 0
    channels: int = 1  # what is meant where nothing is said
    delay: int = 0  # ns, that are left out in front
    discarded: int = 0  # the same, anywhere
    counted: int = 0
    shortest: int = RATE
    late: list[int] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    known: bool = True  # whether all of the file is understood

    def told(self, name: int, content: bytes) -> None:
        """What an element says. Raises ValueError for what is not Opus, or whose times are in another unit."""
        number = int.from_bytes(content, "big")
        if (name == CODEC and content != b"A_OPUS") or (name == SCALE and number != _MILLISECOND):
            raise ValueError
        if name == CODEC:
            self.codecs += 1
        elif name == NUMBER:
            self.number = number
        elif name == _CHANNELS:
            self.channels = number
        elif name == _DELAY:
            self.delay = number
        elif name == _DISCARD:
            self.discarded += int.from_bytes(content, "big", signed=True)
        elif name not in _PASSED:
            self.known = False

    def take(self, time: int, block: bytes) -> None:
        """A block, and when it sounds, in ms. Raises ValueError where the two do not go together, or it holds several packets."""
        late = time * _SAMPLES_A_MS - self.counted
        if block[3] & LACED or not block[0] & _SHORT_NUMBER or abs(late) > _SLACK_MS * _SAMPLES_A_MS:
            raise ValueError
        samples = packet_samples(block[4], block[5] if len(block) > _SHORTEST else 0)
        self.known &= block[0] & ~_SHORT_NUMBER == self.number
        self.counted += samples
        self.shortest = min(self.shortest, samples)
        self.late.append(late)
        self.levels.append(loudness(len(block) - 4, samples))

    @property
    def plain(self) -> bool:
        """Whether no packet can be missing, for then all that follow would be late by its length."""
        steady = bool(self.late) and max(self.late) - min(self.late) < self.shortest
        return self.known and steady and self.channels == 1


def extent(data: bytes, steps: StepBudget) -> Extent | None:
    """None for anything but one track of Opus in unlaced blocks whose times are those of its packets."""
    track, cluster = _Track(), 0
    for name, at, end in elements(lambda at, length: data[at : at + length], 0, len(data), steps):
        if name in (SIMPLE_BLOCK, BLOCK):
            (offset,) = struct.unpack_from(">h", data, at + 1)
            track.take(cluster + offset, data[at:end])
        elif name == TIME:
            cluster = int.from_bytes(data[at:end], "big")
        else:
            track.told(name, data[at:end])
    left_out = round((track.delay + track.discarded) * RATE / 1e9)
    if track.codecs != 1 or track.discarded < 0:
        return None
    return Extent(track.counted - left_out, RATE, track.levels, track.plain)


def elements(read: Read, at: int, end: int, steps: StepBudget, *, opened: int = 0) -> Iterator[tuple[int, int, int]]:
    """(name, first byte, end) of every element that matters, in order; of those named `opened`, their header, and then what is
    inside. Raises ValueError where one is not whole."""
    while at < end:
        steps.take()
        begin = at
        head = read(at, _HEADER)
        width = 9 - head[0].bit_length()
        name = int.from_bytes(head[:width], "big")
        size_width = 9 - head[width].bit_length()
        size = int.from_bytes(head[width : width + size_width], "big") & (1 << 7 * size_width) - 1
        unknown = size == (1 << 7 * size_width) - 1  # a recorder did not know it yet
        at += width + size_width
        if at + size > end and not (unknown and name in _OPENED):
            raise ValueError  # it was cut, if only between two blocks
        if name == opened:
            yield name, begin, at
        if name in _OPENED:
            continue  # what is inside comes next
        yield name, at, at + size
        at += size
