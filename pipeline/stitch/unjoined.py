"""A provider's answer for a chunk with holes: its times, which know of none, on the chunk's stretch of the clock.

What is said at the very edge of a hole may be told with a time in the silence that stood for it, or a little beyond: no word lasts
as long as a hole, so it belongs to the side on which most of it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from pipeline.cut.cutter import Span
from pipeline.transcript import SAMPLES_PER_MS, Segment, Word, samples_to_ms


class _Joint(NamedTuple):
    """A hole in ms on the chunk's own clock: silence from `start` to `end`, and `more` ms that are not there."""

    start: int
    end: int
    more: int


def unjoined(segments: Sequence[Segment], span: Span) -> Sequence[Segment]:
    """The segments with the span's holes in their times."""
    joints = _joints(span)
    return [_segment(segment, joints) for segment in segments] if joints else segments


def _joints(span: Span) -> list[_Joint]:
    joints, left_out = list[_Joint](), 0
    for hole in span.holes:
        if span.audio_start <= hole.start < span.audio_end:
            start, more = hole.start - span.audio_start - left_out, hole.resumed - hole.start
            left_out += more
            end = start + hole.end - hole.resumed
            joints.append(_Joint(samples_to_ms(start), samples_to_ms(end), more // SAMPLES_PER_MS))
    return joints


def _segment(segment: Segment, joints: Sequence[_Joint]) -> Segment:
    words = tuple(_word(word, joints) for word in segment.words)
    start = _start(segment.start, joints)
    return segment.told(segment.text, start, max(start, _end(segment.end, joints)), words)


def _word(word: Word, joints: Sequence[_Joint]) -> Word:
    start, end = word.start, word.end
    for joint in joints:
        if start < joint.end and joint.start < end:
            if joint.start - start < end - joint.end:
                start, end = joint.end, max(end, joint.end)
            else:
                end = joint.start
                break
    start = _start(start, joints)
    return replace(word, start=start, end=max(start, _end(end, joints)))


def _start(at: int, joints: Iterable[_Joint]) -> int:
    return at + sum(joint.more for joint in joints if joint.start <= at)


def _end(at: int, joints: Iterable[_Joint]) -> int:
    """What ends in the silence of a hole has ended before the hole."""
    more = 0
    for joint in joints:
        if at <= joint.end:
            at = min(at, joint.start)
            break
        more += joint.more
    return at + more
