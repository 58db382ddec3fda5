"""Who says what, and where nothing is known: a transcript as people take turns in it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from pipeline.transcript import Segment, Transcript
from pipeline.word_spacing import joined

UNKNOWN = "[…]"  # what stands for a stretch whose chunk failed


def label(segment: Segment) -> str | None:
    """The speaker's name or letter, else the channel's, else None; in one line, whatever a provider made of it."""
    if segment.speaker and segment.speaker.strip():
        return " ".join(segment.speaker.split())
    return None if segment.channel is None else f"channel_{segment.channel}"


def with_gaps(transcript: Transcript) -> tuple[Segment, ...]:
    """The segments in order, and among them one of UNKNOWN for every gap."""
    if not transcript.gaps:
        return transcript.segments
    holes = (Segment(UNKNOWN, gap.start, gap.end, channel=gap.channel) for gap in transcript.gaps)
    return tuple(sorted((*transcript.segments, *holes), key=lambda segment: segment.start))


def turns(segments: Iterable[Segment]) -> list[tuple[str | None, str]]:
    """Label and text of each turn; consecutive segments of one speaker are one."""
    together = ((who, joined(one.text.strip() for one in group)) for who, group in groupby(segments, key=label))
    return [(who, text) for who, text in together if text]


def written(segments: Iterable[Segment]) -> str:
    """All in one line; where somebody is known, one line for each turn, as in "A: Good morning."."""
    lines = [f"{who}: {text}" if who else text for who, text in turns(segments)]
    return "\n".join(lines)
