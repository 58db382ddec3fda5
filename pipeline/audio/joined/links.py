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
from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.link_syntax import SYNTAXES, LinkSyntax
from pipeline.audio.containers.table import Container, Found
from pipeline.audio.joined.following import Following, following

MOST_LINKS = 1_000
_MOST_TRIES = 500  # marks that began nothing, until no more are looked at
_BLOCK = 1024 * 1024  # bytes that are searched at once
_MARK = 64  # bytes; no mark is as long


@dataclass(frozen=True, slots=True)
class Link:
    """One recording's first byte in the file, and the first behind it. `found`: what it is, where it is not of the first's kind.
    `unread`: bytes behind it that are no sound, nor tags or padding. `broken`: from where to where in it are none of its frames,
    `tags`: where tags and padding stand between them. `lacks_pages`: some of Ogg are missing between others. `trailer`: the byte
    behind its last frame, where more stands there that its decoder would take for sound; 0 where none does."""

    start: int
    end: int
    found: Found | None = None
    unread: int = 0
    broken: tuple[tuple[int, int], ...] = ()
    tags: tuple[tuple[int, int], ...] = ()
    lacks_pages: bool = False
    trailer: int = 0


def links(read: Read, size: int, found: Found) -> tuple[Link, ...]:
    """The recordings in a file of `size` bytes that was `found` to be what it is: one, nearly always.

    `read(offset, length)` gives bytes of the file, fewer only at its end. Of more than MOST_LINKS the last holds all that are left.
    Never raises, whatever the bytes are.
    """
    rows, searches = list[Link](), dict[Container, _Search]()
    now, told = found, None
    while len(rows) < MOST_LINKS - 1:
        if now.container not in searches and (syntax := SYNTAXES.get(now.container)):
            searches[now.container] = _Search(read, size, syntax)
        search = searches.get(now.container)
        own = _of_its_kind(read, size, search, now.start) if search else None
        behind = following(read, own.begin if own else size, now)
        own = own if behind.found is None else None
        end = (own or behind).end
        trailer = 0 if own else behind.trailer
        rows.append(Link(now.start, end, told, behind.unread, behind.broken, behind.tags, behind.lacks_pages, trailer))
        if own:
            now, told = Found(now.container, own.begin, now.options), told and Found(now.container, own.begin)
        elif behind.found:
            now = told = behind.found
        else:
            return tuple(rows)
    return (*rows, Link(now.start, size, told))


def _of_its_kind(read: Read, size: int, search: _Search, start: int) -> Following | None:
    """The next recording of the same kind, where one is marked as such."""
    reach = max(search.syntax.reach(read, start, size), start + 1)
    begin = search.first(reach)
    if begin is None:
        return None
    tagged = 0 < tag_length(read(reach, TAG_HEADER)) <= begin - reach  # it belongs to the one behind it
    return Following(reach if tagged else search.syntax.end(read, begin), begin)


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
