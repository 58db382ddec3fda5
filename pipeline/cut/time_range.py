"""A part of a recording, and its chunks told on the clock of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline.audio.clock.placement import Piece
from pipeline.cut.cutter import Span
from pipeline.errors import InvalidRequest
from pipeline.transcript import SAMPLE_RATE, samples_to_ms

_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Part:
    """`[start, end)` in samples at 16 kHz; without an end, until the recording's."""

    start: int = 0
    end: int | None = None

    @property
    def start_ms(self) -> int:
        """In milliseconds."""
        return samples_to_ms(self.start)

    @property
    def end_ms(self) -> int | None:
        """In milliseconds."""
        return None if self.end is None else samples_to_ms(self.end)

    @classmethod
    def of_seconds(cls, start: float, end: float | None) -> Part:
        """From what a caller says in seconds."""
        return cls(round(start * SAMPLE_RATE), None if end is None else round(end * SAMPLE_RATE))


def only(part: Part, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """What lies in the part, of pieces of whole samples; nothing behind it is read.

    Raises InvalidRequest when the recording ends before the part begins.
    """
    end = 0
    for at, pcm in pieces:
        end = at + len(pcm) // _SAMPLE_BYTES
        first = max(part.start - at, 0)
        last = end - at if part.end is None else min(part.end, end) - at
        if first < last:
            yield at + first, pcm[_SAMPLE_BYTES * first : _SAMPLE_BYTES * last]
        if part.end is not None and end >= part.end:
            break
    if end <= part.start:
        found = f"The range begins at {part.start / SAMPLE_RATE:g} s, but the recording has {end / SAMPLE_RATE:g} s."
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
