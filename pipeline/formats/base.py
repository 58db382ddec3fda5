"""How a transcript is written, and how to add a way.

Make one file in this folder, called as the caller calls the format in `response_format`: `markdown.py` for "markdown". In it, a
class with the members of `Format` below, and `FORMAT`, one instance of it:

    class Markdown:
        name = "markdown"
        media_type = "text/markdown; charset=utf-8"
        extension = ".md"

        def render(self, transcript: Transcript, options: RenderOptions) -> str:
            return ...

    FORMAT: Format = Markdown()

That is all: it is listed by its file name, imported when it is first asked for, offered by the API and the command line, and tried
by `tests/contracts/test_formats.py`. `render` is pure, takes any valid transcript, an empty one too, and loses no word; a format
that is about something which a transcript may lack raises UnsupportedValue then, and invents nothing. All times are integer ms;
divide them once, at the end. Text from a provider may contain anything, also `-->`, `<` and blank lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.captions.options import Layout
from pipeline.transcript import Transcript


@dataclass(frozen=True, kw_only=True)
class RenderOptions(Layout):
    """What a caller may choose: the caption layout, which timestamps, and `extra` members for the top level of JSON bodies."""

    granularities: tuple[str, ...] = ("segment",)
    paragraphs: bool = False  # of running text
    extra: Mapping[str, Any] = field(default_factory=dict)


class Format(Protocol):
    """One way to write a transcript."""

    name: str
    media_type: str
    extension: str

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        """The whole document."""
        ...
