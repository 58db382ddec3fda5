"""WavPack: each block says how many samples come before it, and is decoded by itself (WavPack 4 and 5, file format, section 2)."""

from __future__ import annotations

import struct

from pipeline.audio.access.entry import Entry
from pipeline.audio.access.reading_order import blocks_end
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.step_budget import StepBudget

_HEADER = struct.Struct(
    "<4sIHBBIIIII"
)  # name, bytes, version, two upper bytes, all samples, place, samples, flags, checksum
_FIRST = 0x800  # a flag: of the first channels of several that sound together


def wavpack_entry(window: Window, at: int, _: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of blocks that follow one another. Raises TooManySteps, struct.error."""
    counted, last, end = 0, None, blocks_end(window.read, at, window.size)
    while counted <= latest:
        steps.take()
        name, length, _v, upper, _u, _all, place, samples, flags, _crc = _HEADER.unpack(window.head(at, _HEADER.size))
        if name != b"wvpk":
            return None
        if flags & _FIRST and samples:
            if place | upper << 32 != counted:
                return None
            last, counted = (at, counted), counted + samples
        at += 8 + length
    return Entry((), *last, end=end) if last else None
