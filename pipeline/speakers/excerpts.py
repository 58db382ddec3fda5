"""Which pieces of the sound a voice is measured in: 1.5 s, each half a window after the one before, inside a stretch of speech."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.cut.cutter import Span
from pipeline.cut.holes import between
from pipeline.transcript import SAMPLE_RATE

LONG = 3 * SAMPLE_RATE // 2  # samples
HOP = LONG // 2
_SHORTEST = SAMPLE_RATE // 4  # less speech than this tells nothing of a voice
_TOGETHER = 24  # windows that go to the engine in one piece
_SAMPLE_BYTES = 2

Stretch = tuple[int, int]


class Excerpt(NamedTuple):
    """Windows that follow one another in one stretch, and the sound from the first one's begin to the last one's end.

    Their places are on the recording's clock, in samples.
    """

    places: tuple[Stretch, ...]
    pcm: bytes


def stretches_of(span: Span) -> list[Stretch]:
    """Where somebody speaks in what the chunk owns and a provider has heard, none of it across a hole of the recording."""
    return _inside(span, max(span.own_start, span.audio_start), min(span.own_end, span.audio_end))


def _inside(span: Span, first: int, last: int) -> list[Stretch]:
    clipped = ((max(start, first), min(end, last)) for start, end in span.speech_map)
    return [whole for start, end in clipped if start < end for whole in _around_holes(span, start, end)]


def _around_holes(span: Span, start: int, end: int) -> Iterator[Stretch]:
    for hole in between(span.holes, start, end):
        if start < hole.start:
            yield start, hole.start
        start = max(start, hole.end)
    if start < end:
        yield start, end


def windows(stretch: Stretch) -> list[Stretch]:
    """The stretch's own windows: a short one is a window by itself, and the last one ends where the stretch does."""
    start, end = stretch
    if end - start < _SHORTEST:
        return []
    if end - start <= LONG:
        return [stretch]
    starts = [*range(start, end - LONG, HOP), end - LONG]
    if starts[-1] - starts[-2] < HOP // 2 and starts[-2] != start:
        del starts[-2]
    return [(one, one + LONG) for one in starts]


def excerpts(pcm: bytes, span: Span) -> Iterator[Excerpt]:
    """All windows of a chunk with their sound, in order; beyond a forced seam as well, so that it is in the middle of some."""
    for stretch in _inside(span, span.audio_start, span.audio_end):
        places = windows(stretch)
        for at in range(0, len(places), _TOGETHER):
            some = tuple(places[at : at + _TOGETHER])
            yield Excerpt(some, _sound(pcm, span, some[0][0], some[-1][1]))


def _sound(pcm: bytes, span: Span, start: int, end: int) -> bytes:
    """The chunk's own sound between two places on the clock, between which there is no hole."""
    first = sample_of(start, span)
    return pcm[_SAMPLE_BYTES * first : _SAMPLE_BYTES * (first + end - start)]


def sample_of(place: int, span: Span) -> int:
    """Where a place on the clock is in the chunk's own sound."""
    skipped = sum(hole.resumed - hole.start for hole in span.holes if span.audio_start <= hole.start < place)
    return place - span.audio_start - skipped


def joined(stretches: Iterable[Stretch]) -> Sequence[Stretch]:
    """In order, and as one where a chunk's seam alone divides them."""
    whole: list[Stretch] = []
    for start, end in sorted(stretches):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(whole[-1][1], end))
        else:
            whole.append((start, end))
    return whole
