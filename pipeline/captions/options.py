"""What a caller may choose of how captions look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How cues are to look; times in ms, widths in columns (a Chinese or Japanese character takes two)."""

    max_line_chars: int = 42
    max_lines: int = 2
    min_cue: int = 833
    max_cue: int = 7000
    min_gap: int = 84
    chars_per_second: float = 20.0
