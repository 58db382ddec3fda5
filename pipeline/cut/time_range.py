"""A part of a recording, and its chunks told on the clock of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline.cut.cutter import Span
from pipeline.errors import InvalidRequest
from pipeline.transcript import SAMPLE_RATE

_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Part:
    """`[start, end)` in samples at 16 kHz; without an end, until the recording's."""

    start: int = 0
    end: int | None = None

    @classmethod
    def of_seconds(cls, start: float, end: float | None) -> Part:
        """From what a caller says in seconds."""
        return cls(round(start * SAMPLE_RATE), None if end is None else round(end * SAMPLE_RATE))


def only(part: Part, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The samples of the part, of s16le blocks of whole samples; nothing behind it is read.

    Raises InvalidRequest when the recording ends before the part begins.
    """
    at = 0
    for block in blocks:
        samples = len(block) // _SAMPLE_BYTES
        first, last = max(part.start - at, 0), samples if part.end is None else min(part.end - at, samples)
        at += samples
        if first < last:
            yield block[_SAMPLE_BYTES * first : _SAMPLE_BYTES * last]
        if part.end is not None and at >= part.end:
            break
    if at <= part.start:
        found = f"The range begins at {part.start / SAMPLE_RATE:g} s, but the recording has {at / SAMPLE_RATE:g} s."
        raise InvalidRequest(found, param="range")


def moved(span: Span, by: int, *, index: int = 0) -> Span:
    """The same span, so many samples later and chunks further on."""
    return replace(
        span,
        index=span.index + index,
        audio_start=span.audio_start + by,
        audio_end=span.audio_end + by,
        own_start=span.own_start + by,
        own_end=span.own_end + by,
        speech_map=tuple((start + by, end + by) for start, end in span.speech_map),
        switch_point=span.switch_point + by,
        left_out=tuple((start + by, end + by, reason) for start, end, reason in span.left_out),
    )
