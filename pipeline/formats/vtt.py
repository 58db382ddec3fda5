"""`vtt`: WebVTT. https://www.w3.org/TR/webvtt1/"""

from __future__ import annotations

from pipeline.captions import cues
from pipeline.formats.base import Format, RenderOptions
from pipeline.transcript import Transcript


class Vtt:
    """Hours always, no cue numbers; sent as text/plain, as OpenAI's server does, because its clients decide by that."""

    name = "vtt"
    media_type = "text/plain; charset=utf-8"
    extension = ".vtt"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        shown = cues(transcript.segments, options, duration=transcript.duration)
        body = (f"{_clock(cue.start)} --> {_clock(cue.end)}\n{_escaped(cue.lines)}\n\n" for cue in shown)
        return "WEBVTT\n\n" + "".join(body)


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"


def _escaped(lines: tuple[str, ...]) -> str:
    """`>` need not be escaped, but then `-->` cannot occur."""
    return "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


FORMAT: Format = Vtt()
