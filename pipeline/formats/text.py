"""`text`: the words and a line's end."""

from __future__ import annotations

from pipeline.formats.base import Format, RenderOptions
from pipeline.text.paragraphs import paragraphs
from pipeline.text.speaker_turns import with_gaps, written
from pipeline.transcript import Transcript


class Text:
    """One line, as OpenAI's server writes it; where speakers are known, a line for each turn with the speaker before it.

    With `paragraphs`, in paragraphs with an empty line between.
    """

    name = "text"
    media_type = "text/plain; charset=utf-8"
    extension = ".txt"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        segments = with_gaps(transcript)
        return ("\n\n".join(paragraphs(segments)) if options.paragraphs else written(segments)) + "\n"


FORMAT: Format = Text()
