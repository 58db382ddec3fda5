"""Blocks of Matroska and WebM: how many samples come before the first of each cluster, by counting what precedes it.

Their times are rounded to milliseconds, but blocks are further apart, so that there is no doubt whether one is missing.
"""

from __future__ import annotations

import struct

from pipeline.audio.access.entry import Entry
from pipeline.audio.containers.ebml import BLOCK, CLUSTER, NUMBER, SCALE, SEGMENT, SIMPLE_BLOCK, TIME, segment
from pipeline.audio.duration.matroska import CODEC, LACED, elements
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.seek.walks.even_times import EvenTimes
from pipeline.audio.seek.walks.packet_sizes import LOOK, PacketSizes, packet_sizes
from pipeline.audio.step_budget import StepBudget

_MILLISECOND = 1_000_000  # ns, the usual unit of a block's time
_SHORT_NUMBER = 0x80  # a flag: a track's number is of one byte
_BLOCK_HEAD = 4  # bytes: track, time, flags
_CODECS = {
    "opus": b"A_OPUS",
    "aac": b"A_AAC",
    "flac": b"A_FLAC",
    "mp3": b"A_MPEG/L3",
    "mp2": b"A_MPEG/L2",
    "ac3": b"A_AC3",
    "dts": b"A_DTS",
    "pcm_s16le": b"A_PCM/INT/LIT",
    "pcm_s24le": b"A_PCM/INT/LIT",
    "pcm_s32le": b"A_PCM/INT/LIT",
    "pcm_f32le": b"A_PCM/FLOAT/IEEE",
}
_LONGEST = 2**16  # bytes of what is looked into
_LONGEST_HEAD = 2**20


def block_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of the only track with sound of that kind. Raises TooManySteps, ValueError, IndexError, KeyError."""
    walk, tracks = EvenTimes(sound.sample_rate, latest), _Tracks()
    cluster = mine = first = begins = 0
    sizes: PacketSizes | None = None
    for name, start, end in elements(window.head, at, window.size, steps, opened=CLUSTER):
        if name in (SIMPLE_BLOCK, BLOCK):
            head = window.head(start, min(_BLOCK_HEAD + LOOK, end - start))
            mine, sizes = (mine, sizes) if sizes else tracks.only(sound)
            if head[0] != mine:
                continue
            time = cluster + struct.unpack_from(">h", head, 1)[0]
            if head[3] & LACED:
                walk.take_all(time, sizes, window.head(start, end - start), begins)
            else:
                walk.take(time, sizes, head[_BLOCK_HEAD:], end - start - _BLOCK_HEAD, begins)
            begins = 0
            if walk.is_past:
                return _entry(window, at, first, walk.last)
        elif name == CLUSTER:
            first, begins = first or start, start
        elif name == TIME:
            cluster = int.from_bytes(window.head(start, end - start), "big")
        else:
            tracks.told(name, window.head(start, min(end - start, _LONGEST)))
    return None


def _entry(window: Window, at: int, first: int, last: tuple[int, int] | None) -> Entry | None:
    """All that precedes the first cluster; but the segment does not say how long it is."""
    outer = segment(window.read, at, window.size)
    if outer is None or last is None or first - at > _LONGEST_HEAD:
        return None
    head = bytearray(window.read(at, first - at))
    name = SEGMENT.to_bytes(4, "big")
    place = head.rfind(name, 0, outer.start - at)
    width = outer.start - at - place - len(name)
    if place < 0 or width not in range(1, 9):
        return None
    head[place + len(name) : outer.start - at] = ((1 << 7 * width + 1) - 1).to_bytes(width, "big")
    return Entry((bytes(head),), *last)


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
            self._codecs.append(content.rstrip(b"\0"))
        elif name == SCALE and int.from_bytes(content, "big") != _MILLISECOND:
            raise ValueError

    def only(self, sound: AudioStream) -> tuple[int, PacketSizes]:
        """How blocks begin of the only track with that codec, and what they bring. Raises ValueError for none, or several."""
        codec = _CODECS[sound.codec]
        (number,) = [number for number, one in zip(self._numbers, self._codecs, strict=True) if one == codec]
        sizes = packet_sizes(sound)
        if sizes is None:
            raise ValueError
        return _SHORT_NUMBER | number, sizes
