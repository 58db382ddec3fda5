"""A place in the middle of a recording from which on it can be read as if it began there."""

from __future__ import annotations

from dataclasses import dataclass

Span = bytes | tuple[int, int]  # bytes as they are, or those of the file from here to there


@dataclass(frozen=True)
class Entry:
    """`head`, which tells what follows, and then the file from the byte `at` on, up to `end` if that is given. `before`: how many
    samples of the input a decoding of all of it makes before the first that comes from there; None: ffmpeg is sent to the place by
    its stamp."""

    head: tuple[Span, ...]
    at: int
    before: int | None
    end: int | None = None
