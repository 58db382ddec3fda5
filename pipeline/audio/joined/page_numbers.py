"""Pages of Ogg that are missing without a trace: the others follow each other byte by byte, and their numbers alone do not."""

from __future__ import annotations

import struct

from pipeline.audio.containers.ogg_pages import FIRST, UNKNOWN
from pipeline.audio.joined.window import Window

_HEAD = struct.Struct("<5xBQII")  # flags, position, stream, number
_NUMBERS = 1 << 32  # of pages, which begin anew there
_MOST_STREAMS = 64  # that are told apart
_SHARE = 2  # in every second page at most; whose numbers leap more often counts in another way
_FEW = 5  # pages


class PageNumbers:
    """Follows a walk from page to page. What is recorded on the air begins in the midst of a stream: its first page with sound has
    a number far from those of the headers, which are sent to everybody."""

    def __init__(self) -> None:
        self._due = dict[int, int]()  # of each stream the number that should be next
        self._begun = set[int]()  # those of which there was sound
        self._pages = self._leaps = 0

    def see(self, window: Window, at: int, _length: int) -> None:
        head = window.head(at, _HEAD.size)
        if len(head) < _HEAD.size:
            return
        flags, position, stream, number = _HEAD.unpack(head)
        if flags & FIRST:
            self._begun.discard(stream)
        elif stream in self._due:
            far = _NUMBERS // 2 if stream in self._begun else _FEW
            self._leaps += 0 < (number - self._due[stream]) % _NUMBERS < far
        self._pages += 1
        if stream in self._due or len(self._due) < _MOST_STREAMS:
            self._due[stream] = (number + 1) % _NUMBERS
            self._begun |= set() if position in (0, UNKNOWN) else {stream}

    @property
    def lacks_pages(self) -> bool:
        """Whether some are missing between others."""
        return 0 < self._leaps * _SHARE <= self._pages

    second = None  # a stream of another number is found by its first page
    ended = False
