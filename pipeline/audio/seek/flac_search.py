"""FLAC, whose frames each have their number in a checked header: one is found by halving, as in a book with numbered pages."""

from __future__ import annotations

from pipeline.audio.access.entry import Entry
from pipeline.audio.containers.flac_headers import (
    FRAME_MARKS,
    LONGEST_FRAME_HEADER,
    FlacFrame,
    FlacHeader,
    flac_frame,
    flac_header,
)
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.step_budget import StepBudget

_NEAR = 128 * 1024  # bytes in which two frames begin; and how near is near enough
_BLOCK = 2 * _NEAR


def flac_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of a stream whose blocks are all of one length, or tell their places. Raises TooManySteps."""
    header = flac_header(window.read, at)
    if header is None or header.rate != sound.sample_rate:
        return None
    place, before = header.end, 0
    low, high = header.end, window.size
    while high - low > _NEAR:
        steps.take()
        middle = (low + high) // 2
        found = _frame_behind(window.read(middle, _BLOCK), header)
        if found is None or not before <= found[1] <= latest:
            high = middle
        else:
            place, before = middle + found[0], found[1]
            low = max(place, middle)
    return Entry(((at, header.end),), place, before) if before else None


def _frame_behind(data: bytes, header: FlacHeader) -> tuple[int, int] | None:
    """(offset, samples before it) of the first frame in these bytes that another follows; None where there is none."""
    mark = FRAME_MARKS[header.blocks[0] != header.blocks[1]]
    before: tuple[int, FlacFrame] | None = None
    at = data.find(mark)
    while at >= 0:
        frame = flac_frame(data[at : at + LONGEST_FRAME_HEADER])
        if frame and before and _follows(before[1], frame):
            unit = 1 if frame.in_samples else header.blocks[0]
            return before[0], before[1].number * unit
        before = (at, frame) if frame else before
        at = data.find(mark, at + 1)
    return None


def _follows(one: FlacFrame, other: FlacFrame) -> bool:
    return other.number == one.number + (one.samples if one.in_samples else 1) and other.layout == one.layout
