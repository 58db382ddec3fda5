"""Bare frames, one behind the other and all of one kind: how many of them there are is how much sound there is."""

from __future__ import annotations

from pipeline.audio.duration.aac import FRAME_SAMPLES, RATES
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.mpeg_frames import aac_frame, mpeg_frame
from pipeline.audio.step_budget import StepBudget

_MPEG_HEADER, _ADTS_HEADER = 4, 7  # bytes
_LASTING = 0xFD  # bits of the third byte of an ADTS header that no stream changes: all but a private one


def mpeg_frames_reach(window: Window, at: int, _: AudioStream, seconds: float, steps: StepBudget) -> bool:
    """Of MPEG audio, from `at` on. Raises TooManySteps."""
    first = mpeg_frame(window.head(at, _MPEG_HEADER))
    if first is None:
        return False
    lengths: dict[bytes, int] = {}  # headers repeat, so each is understood once
    for _frame in steps.over(range(int(seconds * first.rate / first.samples) + 1)):
        header = window.head(at, _MPEG_HEADER)
        length = lengths.get(header)
        if length is None:
            frame = mpeg_frame(header)
            if frame is None or not frame.same_stream(first):
                return False
            length = lengths[header] = frame.length
        at += length
    return at <= window.size


def aac_frames_reach(window: Window, at: int, _: AudioStream, seconds: float, steps: StepBudget) -> bool:
    """Of AAC in ADTS, from `at` on. Raises TooManySteps."""
    first = aac_frame(window.head(at, _ADTS_HEADER))
    if first is None:
        return False
    kind = _kind(window.head(at, _ADTS_HEADER))
    for _frame in steps.over(range(int(seconds * RATES[first[2]] / FRAME_SAMPLES) + 1)):
        header = window.head(at, _ADTS_HEADER)
        frame = aac_frame(header)
        if frame is None or _kind(header) != kind:
            return False
        at += frame[0]
    return at <= window.size


def _kind(header: bytes) -> tuple[int, int, int]:
    return header[1], header[2] & _LASTING, header[3] >> 6
