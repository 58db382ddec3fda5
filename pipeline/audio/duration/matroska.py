"""Opus in WebM, as browsers record it: the blocks that are there, against the times they state (RFC 9559)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.duration.opus_packets import RATE, loudness, packet_samples

_EBML, _SEGMENT, _CLUSTER, _TRACKS, _ENTRY = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
_CODEC, _DELAY, _NUMBER = 0x86, 0x56AA, 0xD7
_INFO, _SCALE = 0x1549A966, 0x2AD7B1
_TIME, _SIMPLE, _GROUP, _BLOCK, _DISCARD = 0xE7, 0xA3, 0xA0, 0xA1, 0x75A2
_OPENED = (_SEGMENT, _CLUSTER, _TRACKS, _ENTRY, _GROUP, _INFO)  # elements that are looked into
_MILLISECOND = 1_000_000  # ns, the usual unit of a block's time
_SLACK_MS = 60  # that a block may be off: recorders round, and jitter by one packet
_LACED = 0x06
_SAMPLES_A_MS = RATE // 1000


def extent(data: bytes) -> Extent | None:
    """None for anything but one track of Opus in unlaced blocks whose times are those of its packets."""
    codecs, delay, discarded, cluster, counted = 0, 0, 0, 0, 0
    levels: list[float] = []
    for name, at, end in _elements(data, 0, len(data)):
        if name == _CODEC:
            codecs += 1
            if data[at:end] != b"A_OPUS":
                return None
        elif name == _DELAY:
            delay = _number(data, at, end)
        elif name == _SCALE and _number(data, at, end) != _MILLISECOND:
            return None
        elif name == _TIME:
            cluster = _number(data, at, end)
        elif name == _DISCARD:
            discarded += int.from_bytes(data[at:end], "big", signed=True)
        elif name in (_SIMPLE, _BLOCK):
            offset, flags = struct.unpack_from(">hB", data, at + 1)
            if flags & _LACED or not data[at] & 0x80:
                return None
            if abs((cluster + offset) * _SAMPLES_A_MS - counted) > _SLACK_MS * _SAMPLES_A_MS:
                return None
            samples = packet_samples(data[at + 4], data[at + 5] if at + 5 < end else 0)
            counted += samples
            levels.append(loudness(end - at - 4, samples))
    left_out = round((delay + discarded) * RATE / 1e9)
    return Extent(counted - left_out, RATE, levels) if codecs == 1 and discarded >= 0 else None


def _elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(name, first byte, end) of every element that matters, in order. Raises ValueError where one is not whole."""
    while at < end:
        first = data[at]
        width = 9 - first.bit_length()
        name = int.from_bytes(data[at : at + width], "big")
        at += width
        width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + width], "big") & (1 << 7 * width) - 1
        unknown = size == (1 << 7 * width) - 1  # a recorder did not know it yet
        at += width
        if name in _OPENED:
            continue  # what is inside comes next
        if unknown or at + size > end:
            raise ValueError
        yield name, at, at + size
        at += size


def _number(data: bytes, at: int, end: int) -> int:
    return int.from_bytes(data[at:end], "big")
