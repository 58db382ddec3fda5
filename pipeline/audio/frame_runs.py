"""Streams without a container: sound is known there by its frames, each of which says where the next one begins.

One header proves nothing, since any rubbish holds some bytes that look like one. Several in a row that agree do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_SYNC_BYTES = 3  # that `sync` may look at
MOST_STEPS = 2_000  # headers that one search looks at, whatever the bytes are: some ms


@dataclass(frozen=True, eq=False)  # looked up in sets, thousands of times
class FrameSyntax:
    """`length` reads the bytes to the next frame from a header of `size` bytes; `fixed` masks what a stream never changes."""

    length: Callable[[bytes], int]
    size: int
    fixed: bytes

    def read(self, data: bytes, offset: int) -> tuple[int, bytes]:
        """(bytes to the next frame, what all frames of this stream share); 0 bytes where there is no header."""
        header = data[offset : offset + self.size]
        if len(header) < self.size:
            return 0, b""
        return self.length(header), bytes([byte & bits for byte, bits in zip(header, self.fixed, strict=False)])


def follow(syntax: FrameSyntax, data: bytes, offset: int, certain: int, *, short: bool = False) -> bool:
    """Whether `certain` frames follow each other from `offset`.

    `short`: fewer will do where the data end before them, as in a file of two frames.
    """
    first: bytes | None = None
    for _ in range(certain):
        if offset + syntax.size > len(data):
            return short and first is not None
        step, fixed = syntax.read(data, offset)
        if not step or (first is not None and fixed != first):
            return False
        first = fixed
        offset += step
    return True


class Search:
    """Looks for the first run of frames behind rubbish. `steps` counts the places that were looked at, MOST_STEPS at most.

    `sync` matches where a header may begin, so that rubbish passes at the speed of a regular expression. A place that has
    failed once is no way to success for a later run, and is not gone through again.
    """

    def __init__(self, sync: re.Pattern[bytes], syntaxes: Sequence[FrameSyntax]) -> None:
        self.steps = 0
        self._sync = sync
        self._syntaxes = syntaxes
        self._failed: set[tuple[FrameSyntax, int]] = set()

    def first(self, data: bytes, certain: int, *, end: int) -> tuple[int, FrameSyntax] | None:
        """Where `certain` frames in a row begin, up to `end`, and which; None as well where the steps are used up."""
        for match in self._sync.finditer(data, 0, end + _SYNC_BYTES):
            for syntax in self._syntaxes:
                if self._runs(syntax, data, match.start(), certain):
                    return match.start(), syntax
                if self.steps >= MOST_STEPS:
                    return None
        return None

    def _runs(self, syntax: FrameSyntax, data: bytes, offset: int, certain: int) -> bool:
        first, seen = b"", list[tuple[FrameSyntax, int]]()
        self.steps += 1
        while len(seen) < certain and self.steps <= MOST_STEPS and (syntax, offset) not in self._failed:
            self.steps += bool(seen)
            step, fixed = syntax.read(data, offset)
            if not step or (seen and fixed != first):
                break
            first = fixed
            seen.append((syntax, offset))
            offset += step
        if len(seen) >= certain:
            return True
        self._failed.update(seen)
        return False
