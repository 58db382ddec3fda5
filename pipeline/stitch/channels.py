"""The channels of one recording, each transcribed on its own, told together in the order in which things were said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from operator import add

from pipeline.transcript import Coverage, Gap, NotSent, Seams, Segment, TokenUsage, Transcript


def together(channels: Sequence[Transcript]) -> Transcript:
    """One transcript of all channels, the first one first. Every segment says its channel, from 0.

    Two who talk at once stay as they were heard: their segments overlap, each one's own do not. What was said is in order of
    when it began.
    """
    segments = sorted(_labelled(channels), key=lambda segment: (segment.start, segment.channel or 0))
    languages = Counter(one.language for one in channels if one.language)
    usages = [one.usage for one in channels]
    return Transcript(
        segments=tuple(segments),
        duration=max(one.duration for one in channels),
        language=languages.most_common(1)[0][0] if languages else None,
        task=channels[0].task,
        model_used=next((one.model_used for one in channels if one.model_used), ""),
        gaps=tuple(sorted(_gaps(channels), key=lambda gap: (gap.start, gap.channel or 0))),
        seams=_sum([one.seams for one in channels]),
        languages=tuple(dict.fromkeys(code for one in channels for code in one.languages)),
        usage=reduce(add, usages, TokenUsage()) if all(usages) else None,
        logprobs=tuple(one for channel in channels for one in channel.logprobs),
        coverage=Coverage(
            speech=sum(one.coverage.speech for one in channels),
            transcribed=sum(one.coverage.transcribed for one in channels),
            chunks_short=tuple(chunk for one in channels for chunk in one.coverage.chunks_short),
        ),
        not_sent=tuple(sorted(_not_sent(channels), key=lambda stretch: (stretch.start, stretch.channel or 0))),
    )


def _labelled(channels: Sequence[Transcript]) -> Iterator[Segment]:
    for number, transcript in enumerate(channels):
        yield from (replace(segment, channel=number) for segment in transcript.segments)


def _gaps(channels: Sequence[Transcript]) -> Iterator[Gap]:
    for number, transcript in enumerate(channels):
        yield from (replace(gap, channel=number) for gap in transcript.gaps)


def _not_sent(channels: Sequence[Transcript]) -> Iterator[NotSent]:
    for number, transcript in enumerate(channels):
        yield from (replace(stretch, channel=number) for stretch in transcript.not_sent)


def _sum(seams: Sequence[Seams]) -> Seams:
    return Seams(*(sum(getattr(one, kind) for one in seams) for kind in ("silence", "soft", "hard")))
