"""`srt`: SubRip subtitles. There is no standard; every player reads this form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from pipeline.captions import Cue, Layout, cues
from pipeline.formats.base import Format, RenderOptions
from pipeline.transcript import Segment, Transcript
from pipeline.writing.turns import label, with_gaps

NARROWEST = 20  # columns that a label leaves at least


class Srt:
    """Numbered from 1, comma before the milliseconds, hours always, a blank line after each cue."""

    name = "srt"
    media_type = "text/plain; charset=utf-8"
    extension = ".srt"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        segments = with_gaps(transcript)
        shown = cues(segments, _narrowed(options, segments), duration=transcript.duration)
        before = chain([None], (cue.speaker for cue in shown))
        return "".join(
            f"{number}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{_safe(_labelled(cue, last))}\n\n"
            for number, (cue, last) in enumerate(zip(shown, before, strict=False), start=1)
        )


def _narrowed(layout: Layout, segments: Iterable[Segment]) -> Layout:
    """Room for the longest label before a line."""
    longest = max((len(label(segment) or "") for segment in segments), default=0)
    return replace(layout, max_line_chars=max(NARROWEST, layout.max_line_chars - longest - 2)) if longest else layout


def _labelled(cue: Cue, last: str | None) -> tuple[str, ...]:
    """Its lines, the speaker before the first where it is another one than before."""
    if not cue.speaker or cue.speaker == last:
        return cue.lines
    return (f"{cue.speaker}: {cue.lines[0]}", *cue.lines[1:])


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{ms:03}"


def _safe(lines: tuple[str, ...]) -> str:
    """SubRip has no escapes, so an arrow that would look like a time line becomes another arrow."""
    return "\n".join(lines).replace("-->", "→")


FORMAT: Format = Srt()
