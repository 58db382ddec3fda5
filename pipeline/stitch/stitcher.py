"""The chunks' transcripts into one: nothing lost, nothing twice, every time on the recording's clock.

A seam in silence is a plain joining, with the exact offset that the cutter counted in samples; no text is compared there. Where the
chunks overlap, `pipeline.stitch.overlap` picks the one word at which to change over. A chunk that failed leaves a gap that says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.cut.cutter import Span
from pipeline.quality.coverage import CoverageMeter
from pipeline.quality.suspects import judged
from pipeline.stitch.left_out import not_sent
from pipeline.stitch.overlap import Overlap, switch
from pipeline.stitch.overlap_text import switch_texts
from pipeline.stitch.timeline import forward, on_recording
from pipeline.stitch.totals import Totals, letters
from pipeline.stitch.unjoined import unjoined
from pipeline.text.segment_words import SegmentWords, punctuated, speech_ms, without_loops
from pipeline.text.word_match import Spoken, normal, same
from pipeline.transcript import Gap, Heard, Seams, Segment, Transcript, samples_to_ms

_LOOK_BACK = 10_000  # ms before and after an overlap in which words may take part in a seam
_WHOLE = 0.9  # of a chunk; a provider that knows times leaves the silence at its ends out
_WITNESSES = 2  # words of the other side that prove that a loop was not said
_OVERLAPPING = ("soft", "hard")
# In ms; no chunk begins earlier than this before the cut it shares with the one before (pipeline.cut.cutter).
_REACH = 2_000


def stitch(
    parts: Iterable[tuple[Span, Heard | Gap]],
    *,
    duration: int,
    language: str | None = None,
    task: str = "transcribe",
    model_used: str = "",
) -> Transcript:
    """One transcript of `duration` ms out of all parts in index order; a silent chunk comes as an empty `Heard`."""
    stitcher = Stitcher()
    for span, part in parts:
        stitcher.add(span, part)
    return stitcher.finish(duration=duration, language=language, task=task, model_used=model_used)


class Stitcher:
    """The same, chunk by chunk, so that a reader can follow while later chunks are still being heard."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._gaps: list[Gap] = []
        self._left_out: list[tuple[int, int, str]] = []
        self._edges: defaultdict[str, int] = defaultdict(int)
        self._totals, self._meter = Totals(), CoverageMeter()
        self._heard: Span | None = None  # the chunk before, if it was heard
        self._firm = 0  # segments before the last place where two chunks share nothing
        self._end = 0

    def add(self, span: Span, part: Heard | Gap) -> None:
        """The next chunk in index order."""
        self._edges[span.right_edge] += 1
        self._left_out += span.left_out
        self._end = max(self._end, samples_to_ms(span.audio_end), samples_to_ms(span.own_end))
        if isinstance(part, Gap):
            self._gaps.append(part)
            self._heard = None
            return
        start, end = samples_to_ms(span.audio_start), samples_to_ms(span.audio_end)
        segments = on_recording(unjoined(part.segments, span), start, end - start)
        timed = part.timed and not (len(segments) == 1 and _untimed(segments[0], end - start))
        if not timed:
            segments = [phrase for words in SegmentWords.each(segments, span) for phrase in words.phrases()]
        segments = judged(segments, speech_ms(span), in_doubt=span.in_doubt)
        self._meter.take(span.index, () if span.in_doubt else speech_ms(span), segments, timed=timed)
        overlap = self._overlap(span)
        twice = (0, 0)
        if overlap:
            segments, twice = self._changed_over(segments, span, overlap, timed=timed)
        else:
            self._firm = len(self._segments)
        self._segments += segments
        self._heard = span
        if span.is_sent or part != Heard():
            self._totals.take(part, given_way=twice[0], skipped=twice[1])

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is settled so far; the end of the last segment may still give way to the next chunk."""
        return forward(self._segments, self._end)

    @property
    def settled(self) -> tuple[Segment, ...]:
        """Those of `segments` whose text no later chunk can change. Grows only at its end; times may still give way."""
        before = self._heard
        if before is None or before.right_edge not in _OVERLAPPING:
            return self.segments
        return self.segments[: self._before(samples_to_ms(before.own_end) - _REACH - _LOOK_BACK)]

    @property
    def model_used(self) -> str:
        """Who has heard most chunks so far."""
        return self._totals.model

    def finish(
        self, *, duration: int, language: str | None = None, task: str = "transcribe", model_used: str = ""
    ) -> Transcript:
        """Everything added, as a transcript of `duration` ms; language and model are what most chunks say, unless given."""
        return Transcript(
            segments=forward(self._segments, duration),
            duration=duration,
            language=language or self._totals.language,
            task=task,
            model_used=model_used or self._totals.model,
            gaps=tuple(_bounded(gap, duration) for gap in self._gaps),
            seams=Seams(self._edges["silence"], self._edges["soft"], self._edges["hard"]),
            languages=self._totals.languages,
            usage=self._totals.usage,
            logprobs=tuple(self._totals.logprobs),
            coverage=self._meter.coverage(),
            not_sent=tuple(not_sent(self._left_out, duration)),
        )

    def _overlap(self, span: Span) -> Overlap | None:
        """What the chunk before and this one both heard."""
        before = self._heard
        if before is None or span.left_edge not in _OVERLAPPING or before.audio_end <= span.audio_start:
            return None
        times = (span.audio_start, before.audio_end, before.switch_point)
        return Overlap(*map(samples_to_ms, times))

    def _before(self, time: int) -> int:
        """How many segments a seam leaves alone that looks back until `time` in ms."""
        at = len(self._segments)
        while at > self._firm and self._segments[at - 1].end > time:
            at -= 1
        return at

    def _changed_over(
        self, after: list[Segment], span: Span, overlap: Overlap, *, timed: bool
    ) -> tuple[list[Segment], tuple[int, int]]:
        """Shorten what is there to where the new segments take over.

        Returns what is left of those, and the letters that were cut off here and there.
        """
        assert self._heard is not None
        at = self._before(overlap.start - _LOOK_BACK)
        left = SegmentWords.each(self._segments[at:], self._heard)
        reach = overlap.end + _LOOK_BACK
        near = sum(segment.start < reach for segment in after)
        right = SegmentWords.each(after[:near], span)
        left, right = (
            _unless_shared(left, without_loops(left, from_=overlap.start), right, overlap),
            _unless_shared(right, without_loops(right, until=overlap.end), left, overlap),
        )
        mine, theirs = _tokens(left), _tokens(right)
        if timed:
            exact = all(one.segment.words for one in (*left, *right))
            kept, skipped = switch(mine, theirs, overlap, exact=exact)
        else:
            kept, skipped = switch_texts(mine, theirs, overlap)
        self._segments[at:] = _first(left, kept)
        if kept > 0 and 0 < skipped < len(theirs) and same(mine[kept - 1], theirs[skipped - 1]):
            self._segments[-1] = punctuated(self._segments[-1], _mark_after(right, skipped))
        twice = _letters(mine[kept:]), _letters(theirs[:skipped])
        return _without_first(right, skipped) + after[near:], twice


def _untimed(segment: Segment, length: int) -> bool:
    """Whether the provider gave only text: one segment over nearly the whole chunk."""
    return not segment.words and segment.end - segment.start >= _WHOLE * length


def _letters(tokens: Iterable[Spoken]) -> int:
    return sum(letters(token.text) for token in tokens)


def _tokens(segments: Sequence[SegmentWords]) -> list[Spoken]:
    return [token for segment in segments for token in segment.tokens]


def _unless_shared(
    side: list[SegmentWords], without: list[SegmentWords], other: list[SegmentWords], overlap: Overlap
) -> list[SegmentWords]:
    """The side without its loop at the seam, when the other side heard several words there and none of the loop's."""
    if without == side:
        return side
    looped = set(_tokens(side)) - set(_tokens(without))
    heard = [token for token in _tokens(other) if token.end > overlap.start and token.start < overlap.end]
    alike = {normal(token.text) for token in looped} & {normal(token.text) for token in heard}
    return without if len(heard) >= _WITNESSES and not alike else side


def _mark_after(segments: Sequence[SegmentWords], count: int) -> str:
    """The punctuation after the `count`-th word."""
    for segment in segments:
        if count <= len(segment.tokens):
            return segment.mark_after(count - 1)
        count -= len(segment.tokens)
    return ""


def _first(segments: Sequence[SegmentWords], count: int) -> list[Segment]:
    """The segments up to their `count`-th word."""
    kept = []
    for segment in segments:
        if part := segment.part(0, count):
            kept.append(part)
        count = max(0, count - len(segment.tokens))
    return kept


def _without_first(segments: Sequence[SegmentWords], count: int) -> list[Segment]:
    """The segments after their `count`-th word."""
    kept = []
    for segment in segments:
        if part := segment.part(count, len(segment.tokens)):
            kept.append(part)
        count = max(0, count - len(segment.tokens))
    return kept


def _bounded(gap: Gap, duration: int) -> Gap:
    start = min(max(gap.start, 0), duration)
    return replace(gap, start=start, end=min(max(gap.end, start), duration))
