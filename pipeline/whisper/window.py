"""What passes between whoever has windows heard and the engine: plain values of these."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from pipeline.whisper_filter import Found

ASKED = frozenset(("task", "language", "pinned", "languages", "prompt", "keywords", "temperature"))  # of the options


@dataclass(frozen=True)
class Window:
    """What is said in one, and in which language."""

    language: str
    found: tuple[Found, ...] = ()


WINDOW: TypeAdapter[Window] = TypeAdapter(Window)
