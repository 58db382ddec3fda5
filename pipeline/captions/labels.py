"""Who speaks, before the words of a caption: for formats that have no other place to say it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from pipeline.captions.layout import Cue, cues
from pipeline.captions.options import Layout
from pipeline.text.speaker_turns import label, with_gaps
from pipeline.transcript import Segment, Transcript

_NARROWEST = 20  # columns that a label leaves at least, where as many were asked for


def labelled_cues(transcript: Transcript, layout: Layout) -> list[Cue]:
    """The transcript's cues and gaps; the first line names the speaker where it is another one than before."""
    segments = with_gaps(transcript)
    shown = cues(segments, _narrowed(layout, segments), duration=transcript.duration)
    before = chain([None], (cue.speaker for cue in shown))
    return [replace(cue, lines=_labelled(cue, last)) for cue, last in zip(shown, before, strict=False)]


def _narrowed(layout: Layout, segments: Iterable[Segment]) -> Layout:
    """Room for the longest label before a line."""
    longest = max((len(label(segment) or "") for segment in segments), default=0)
    if not longest:
        return layout
    least = min(_NARROWEST, layout.max_line_chars)
    return replace(layout, max_line_chars=max(least, layout.max_line_chars - longest - 2))


def _labelled(cue: Cue, last: str | None) -> tuple[str, ...]:
    if not cue.speaker or cue.speaker == last:
        return cue.lines
    return (f"{cue.speaker}: {cue.lines[0]}", *cue.lines[1:])
