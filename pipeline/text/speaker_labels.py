"""Names of speakers that hold for one chunk only.

A model that tells who speaks calls the people of every chunk A, B and so on, anew each time: A of the first chunk and A of
the second may be two persons. Only the names that the caller gave, with a sample of each voice, mean the same everywhere. So where
a recording had to be cut the others say which part they belong to: `1:A`, `2:A`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from pipeline.cut.cutter import Span
from pipeline.transcript import Heard, Segment

_OF_A_PART = re.compile(r"\d+:.*", re.DOTALL)


def told_apart(heard: Heard, span: Span, known: Collection[str]) -> Heard:
    """The answer for one chunk, with names that no other chunk's answer has. The only chunk of a recording needs none."""
    if (span.left_edge, span.right_edge) == ("start", "end"):
        return heard
    return replace(heard, segments=apart(heard.segments, str(span.index + 1), known))


def apart(segments: Iterable[Segment], part: str, known: Collection[str]) -> tuple[Segment, ...]:
    """The segments with every speaker's name that is not one of `known` put behind `part` and a colon."""
    return tuple(
        replace(segment, speaker=f"{part}:{segment.speaker}")
        if segment.speaker and segment.speaker not in known
        else segment
        for segment in segments
    )


def is_of_a_part(name: str) -> bool:
    """Whether the name holds for one part only."""
    return _OF_A_PART.fullmatch(name) is not None
