"""Words given to speakers, and segments cut where the speaker changes: texts, times and order stay what they were."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from pipeline.speakers.turn_taking import Turn
from pipeline.text.segment_words import SegmentWords
from pipeline.transcript import Segment, samples_to_ms
from pipeline.word_spacing import joined


class Timeline:
    """Who speaks when, in ms."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._spoken = [
            (samples_to_ms(turn.start), samples_to_ms(turn.end), turn.speaker, turn.margin) for turn in turns
        ]
        self._ends = [end for _, end, _, _ in self._spoken]

    def at(self, start: int, end: int) -> tuple[int | None, float]:
        """Whose most of that time is, and how sure that is; where nobody speaks, the nearest who does. None: nobody ever does."""
        if not self._spoken:
            return None, 0.0
        shares: defaultdict[int, int] = defaultdict(int)
        sure: defaultdict[int, float] = defaultdict(float)
        for first, last, who, margin in self._over(start, end):
            if (shared := min(end, last) - max(start, first)) > 0:
                shares[who] += shared
                sure[who] += shared * margin
        if not shares:
            return self._nearest(start, end)
        who = max(shares, key=lambda one: shares[one])
        return who, sure[who] / shares[who]

    def _over(self, start: int, end: int) -> Iterator[tuple[int, int, int, float]]:
        at = bisect_left(self._ends, start + 1)
        while at < len(self._spoken) and self._spoken[at][0] < end:
            yield self._spoken[at]
            at += 1

    def _nearest(self, start: int, end: int) -> tuple[int, float]:
        at = bisect_left(self._ends, start + 1)
        near = self._spoken[max(0, at - 1) : at + 1]
        _, _, who, margin = min(near, key=lambda one: max(one[0] - end, start - one[1], 0))
        return who, margin


Spoken = tuple[Segment, int | None]


def given(segments: Sequence[Segment], timeline: Timeline) -> list[Spoken]:
    """Each segment, or each part of it, with its speaker's number; it says how sure that is."""
    return [spoken for segment in segments for spoken in _given(segment, timeline)]


def _given(segment: Segment, timeline: Timeline) -> list[Spoken]:
    words = SegmentWords(segment, ())
    said = [(*timeline.at(token.start, token.end), token.end - token.start) for token in words.tokens]
    runs = [list(run) for _, run in groupby(enumerate(said), key=lambda one: one[1][0])]
    parts = [words.part(run[0][0], run[-1][0] + 1) for run in runs]
    if len(runs) > 1 and _is_the_same(segment, parts):
        return [
            (_sure(part, [one for _, one in run]), run[0][1][0]) for part, run in zip(parts, runs, strict=True) if part
        ]
    who, margin = timeline.at(segment.start, segment.end)
    if len(runs) == 1:
        return [(_sure(segment, said), said[0][0])]
    return [(replace(segment, speaker_confidence=round(margin, 3)), who)]


def _is_the_same(segment: Segment, parts: Sequence[Segment | None]) -> bool:
    """Whether the parts, put together, are the segment: in some scripts, and where words do not spell the text, they are not."""
    whole = [part for part in parts if part]
    text = joined(part.text.strip() for part in whole) == segment.text.strip()
    return text and sum(len(part.words) for part in whole) == len(segment.words)


def _sure(segment: Segment, said: Sequence[tuple[int | None, float, int]]) -> Segment:
    """By the time of its words; one that takes no time counts a little."""
    time = sum(length + 1 for _, _, length in said)
    margin = sum((length + 1) * margin for _, margin, length in said) / time if time else 0.0
    return replace(segment, speaker_confidence=round(margin, 3))
