"""The answers for the two halves of a chunk, put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.text.speaker_labels import apart
from pipeline.transcript import Heard, Segment, Word


def joined(parts: Sequence[Heard], *, at: int, duration: int, known: Sequence[str]) -> Heard:
    """Both halves on the chunk's clock of `duration` ms; the second begins at `at` ms."""
    first, second = parts
    segments = (
        *(_fitted(segment, 0, 0, at) for segment in apart(first.segments, "1", known)),
        *(_fitted(segment, at, at, duration) for segment in apart(second.segments, "2", known)),
    )
    spoken = max(parts, key=lambda part: sum(segment.end - segment.start for segment in part.segments))
    return Heard(
        segments,
        language=spoken.language or first.language or second.language,
        model_used=first.model_used or second.model_used,
        timed=first.timed and second.timed,
        languages=tuple(dict.fromkeys(first.languages + second.languages)),
        usage=first.usage + second.usage if first.usage and second.usage else None,
        logprobs=first.logprobs + second.logprobs,
        duration=first.duration + second.duration
        if first.duration is not None and second.duration is not None
        else None,
    )


def _fitted(segment: Segment, shift: int, low: int, high: int) -> Segment:
    """Later by `shift` ms, and inside [low, high]: a half's times that run over its end would cross the other's."""
    words = tuple(
        Word(word.text, _within(word.start + shift, low, high), _within(word.end + shift, low, high), word.confidence)
        for word in segment.words
    )
    start, end = _within(segment.start + shift, low, high), _within(segment.end + shift, low, high)
    return replace(segment, start=start, end=end, words=words)


def _within(time: int, low: int, high: int) -> int:
    return min(max(time, low), high)
