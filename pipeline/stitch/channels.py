"""The tracks and channels of one recording, each transcribed on its own, told together in the order in which things were said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import add

from pipeline.transcript import Coverage, Gap, NotSent, Seams, Segment, TokenUsage, Transcript

Place = tuple[int | None, int | None]  # track from 1, channel from 0; None where there is one for all
ALONE: Place = (None, None)


def together(heard: Mapping[Place, Transcript]) -> Transcript:
    """One transcript of all places, the first one first. Every segment says its track and channel; one that was heard ALONE
    is as it was.

    Two who talk at once stay as they were heard: their segments overlap, each one's own do not. What was said is in order of
    when it began.
    """
    if list(heard) == [ALONE]:
        return heard[ALONE]
    each = list(heard.values())
    languages = Counter(one.language for one in each if one.language)
    usages = [one.usage for one in each]
    return Transcript(
        segments=tuple(sorted(_labelled(heard), key=_begin)),
        duration=max(one.duration for one in each),
        language=languages.most_common(1)[0][0] if languages else None,
        task=each[0].task,
        model_used=next((one.model_used for one in each if one.model_used), ""),
        gaps=tuple(sorted(_gaps(heard), key=_begin)),
        seams=_sum([one.seams for one in each]),
        languages=tuple(dict.fromkeys(code for one in each for code in one.languages)),
        usage=reduce(add, usages, TokenUsage()) if all(usages) else None,
        logprobs=tuple(logprob for one in each for logprob in one.logprobs),
        coverage=Coverage(
            speech=sum(one.coverage.speech for one in each),
            transcribed=sum(one.coverage.transcribed for one in each),
            chunks_short=tuple(chunk for one in each for chunk in one.coverage.chunks_short),
        ),
        not_sent=tuple(sorted(_not_sent(heard), key=_begin)),
    )


def _begin(one: Segment | Gap | NotSent) -> tuple[int, int, int]:
    return one.start, one.track or 0, one.channel or 0


def _labelled(heard: Mapping[Place, Transcript]) -> Iterator[Segment]:
    for (track, channel), transcript in heard.items():
        yield from (replace(segment, track=track, channel=channel) for segment in transcript.segments)


def _gaps(heard: Mapping[Place, Transcript]) -> Iterator[Gap]:
    for (track, channel), transcript in heard.items():
        yield from (replace(gap, track=track, channel=channel) for gap in transcript.gaps)


def _not_sent(heard: Mapping[Place, Transcript]) -> Iterator[NotSent]:
    for (track, channel), transcript in heard.items():
        yield from (replace(stretch, track=track, channel=channel) for stretch in transcript.not_sent)


def _sum(seams: list[Seams]) -> Seams:
    return Seams(*(sum(getattr(one, kind) for one in seams) for kind in ("silence", "soft", "hard")))
