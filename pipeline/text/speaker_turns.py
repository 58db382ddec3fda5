"""Who says what, and where nothing is known: a transcript as people take turns in it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from pipeline.transcript import Segment, Transcript
from pipeline.word_spacing import joined

UNKNOWN = "[…]"  # what stands for a stretch in which something may have been said


def label(segment: Segment) -> str | None:
    """The speaker's name or letter, else the track's and channel's, else None; in one line, whatever a provider made of it."""
    if segment.speaker and segment.speaker.strip():
        return " ".join(segment.speaker.split())
    places = (("track", segment.track), ("channel", segment.channel))
    return "_".join(f"{name}_{number}" for name, number in places if number is not None) or None


def with_gaps(transcript: Transcript) -> tuple[Segment, ...]:
    """The segments in order, and among them one of UNKNOWN for every gap, but for holes, in which there never was any sound."""
    unheard = [gap for gap in transcript.gaps if gap.retryable or gap.lost]
    if not unheard:
        return transcript.segments
    unknown = (Segment(UNKNOWN, gap.start, gap.end, channel=gap.channel, track=gap.track) for gap in unheard)
    return tuple(sorted((*transcript.segments, *unknown), key=lambda segment: segment.start))


def turns(segments: Iterable[Segment]) -> list[tuple[str | None, str]]:
    """Label and text of each turn; consecutive segments of one speaker are one."""
    together = ((who, joined(one.text.strip() for one in group)) for who, group in groupby(segments, key=label))
    return [(who, text) for who, text in together if text]


def written(segments: Iterable[Segment]) -> str:
    """All in one line; where somebody is known, one line for each turn, as in "A: Good morning."."""
    lines = [f"{who}: {text}" if who else text for who, text in turns(segments)]
    return "\n".join(lines)
