"""`vtt`: WebVTT. https://www.w3.org/TR/webvtt1/"""

from __future__ import annotations

from pipeline.captions.layout import Cue, cues
from pipeline.formats.base import Format, RenderOptions
from pipeline.text.speaker_turns import with_gaps
from pipeline.transcript import Transcript


class Vtt:
    """Hours always, no cue numbers; sent as text/plain, as OpenAI's server does, because its clients decide by that."""

    name = "vtt"
    media_type = "text/plain; charset=utf-8"
    extension = ".vtt"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        shown = cues(with_gaps(transcript), options, duration=transcript.duration)
        body = (f"{_clock(cue.start)} --> {_clock(cue.end)}\n{_voiced(cue)}\n\n" for cue in shown)
        return f"WEBVTT\n\n{_note(options)}" + "".join(body)


def _note(options: RenderOptions) -> str:
    """Which revision it is, where it is one."""
    revision = options.extra.get("revision")
    return "" if revision is None else f"NOTE revision {revision}\n\n"


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"


def _voiced(cue: Cue) -> str:
    """The cue's text in its speaker's voice span."""
    text = _escaped(cue.lines)
    return f"<v {_escaped((cue.speaker,))}>{text}</v>" if cue.speaker else text


def _escaped(lines: tuple[str, ...]) -> str:
    """`>` need not be escaped, but then `-->` cannot occur."""
    return "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


FORMAT: Format = Vtt()
