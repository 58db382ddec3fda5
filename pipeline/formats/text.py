"""`text`: the words and a line's end."""

from __future__ import annotations

from pipeline.formats.base import Format, RenderOptions
from pipeline.transcript import Transcript


class Text:
    """One line, as OpenAI's server writes it."""

    name = "text"
    media_type = "text/plain; charset=utf-8"
    extension = ".txt"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        return transcript.text + "\n"


FORMAT: Format = Text()
