"""Where captions break the rules that they were laid out by: words that come too fast or are too long leave no other way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pipeline.captions.layout import Cue
from pipeline.captions.options import Layout
from pipeline.captions.words import columns


def violations(cues: Sequence[Cue], layout: Layout) -> Counter[str]:
    """How often each rule is broken; cues of several speakers at once need no gap between them."""
    found = Counter(rule for cue in cues for rule in _of_one(cue, layout))
    found["gap_too_short"] = sum(0 <= after.start - before.end < layout.min_gap for before, after in pairwise(cues))
    return +found


def _of_one(cue: Cue, layout: Layout) -> Iterator[str]:
    shown, seconds = cue.end - cue.start, (cue.end - cue.start) / 1000
    if any(columns(line) > layout.max_line_chars for line in cue.lines):
        yield "line_too_long"
    if len(cue.lines) > layout.max_lines:
        yield "too_many_lines"
    if shown < layout.min_cue:
        yield "too_short"
    if shown > layout.max_cue:
        yield "too_long"
    if sum(map(len, cue.lines)) > layout.chars_per_second * seconds:
        yield "too_fast"
