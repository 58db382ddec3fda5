"""`srt`: SubRip subtitles. There is no standard; every player reads this form."""

from __future__ import annotations

from pipeline.captions.labels import labelled_cues
from pipeline.formats.base import Format, RenderOptions
from pipeline.transcript import Transcript


class Srt:
    """Numbered from 1, comma before the milliseconds, hours always, a blank line after each cue."""

    name = "srt"
    media_type = "text/plain; charset=utf-8"
    extension = ".srt"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        return "".join(
            f"{number}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{_safe(cue.lines)}\n\n"
            for number, cue in enumerate(labelled_cues(transcript, options), start=1)
        )


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{ms:03}"


def _safe(lines: tuple[str, ...]) -> str:
    """SubRip has no escapes, so an arrow that would look like a time line becomes another arrow."""
    return "\n".join(lines).replace("-->", "→")


FORMAT: Format = Srt()
