"""Recordings that were joined end to end in one file, as `cat` does it: where each begins.

ffmpeg reads the first of them and stops, or hears the header of the next as sound, or goes on by the description of the first. Each
is a file of its own and can be read alone, from its first byte to its last: it may have another rate, other channels, another codec
than the first, and is best looked at anew. Ogg has a word for it, a chain of links (RFC 3533), which is used for all.

Where a recording says how long it is, the next one is looked for behind it. Else it is searched for through all of the file, at the
speed of memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.link_syntax import SYNTAXES, LinkSyntax
from pipeline.audio.containers.table import Found

MOST_LINKS = 1_000
_MOST_TRIES = 500  # marks that began nothing, until no more are looked at
_BLOCK = 1024 * 1024  # bytes that are searched at once
_MARK = 64  # bytes; no mark is as long
_TAG_HEADER = b"ID3"


@dataclass(frozen=True, slots=True)
class Link:
    """One recording's first byte in the file, and the first behind it."""

    start: int
    end: int


def links(read: Read, size: int, found: Found) -> tuple[Link, ...]:
    """The recordings in a file of `size` bytes that was `found` to be what it is: one, nearly always.

    `read(offset, length)` gives bytes of the file, fewer only at its end. Of more than MOST_LINKS the last holds all that are left.
    Never raises, whatever the bytes are.
    """
    starts, ends = [found.start], list[int]()
    syntax = SYNTAXES.get(found.container)
    search = _Search(read, size, syntax) if syntax else None
    while search and len(starts) < MOST_LINKS:
        reach = max(search.syntax.reach(read, starts[-1], size), starts[-1] + 1)
        begin = search.first(reach)
        if begin is None:
            break
        tagged = reach < begin and read(reach, 3) == _TAG_HEADER  # it belongs to the one behind it
        ends.append(reach if tagged else search.syntax.end(read, begin))
        starts.append(begin)
    return tuple(Link(start, end) for start, end in zip(starts, [*ends, size], strict=True))


class _Search:
    """For the beginning of the next recording, from block to block; the last one is kept, for many may begin in it."""

    def __init__(self, read: Read, size: int, syntax: LinkSyntax) -> None:
        self.syntax = syntax
        self._read, self._size = read, size
        self._block, self._at = b"", 0
        self._tries = 0

    def first(self, at: int) -> int | None:
        """Where one begins, at `at` or behind it; None where none does, or too much looked as if it did."""
        place = at + self.syntax.lead
        while place < self._size:
            self._load(place)
            limit = self._at + _BLOCK
            for match in self.syntax.mark.finditer(self._block, place - self._at):
                begin = self._at + match.start() - self.syntax.lead
                if self._at + match.start() >= limit:
                    break
                if self.syntax.begins(self._read, begin, self._size):
                    return begin
                self._tries += 1
                if self._tries >= _MOST_TRIES:
                    return None
            place = limit
        return None

    def _load(self, place: int) -> None:
        if not self._at <= place < self._at + min(_BLOCK, len(self._block)):
            self._at, self._block = place, self._read(place, _BLOCK + _MARK)
