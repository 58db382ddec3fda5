"""What follows a recording in its file: another one, of any kind that is taken; tags and padding; or bytes that nobody can hear.

A player plays the first and stops. Who joined two files wants both heard: so behind the end of the first a recording is looked for
as at the front of a file; and where the end is not known, or something else stands there, for the marks that recordings begin with.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.link_syntax import SYNTAXES
from pipeline.audio.containers.table import (
    AAC,
    AC3,
    AMR,
    CAF,
    DTS,
    EAC3,
    FLAC,
    FLV,
    MP3,
    MPEG,
    MPEGTS,
    OGG,
    WAVPACK,
    Container,
    Found,
)
from pipeline.audio.joined.bare_end import STREAMED, bare_frames
from pipeline.audio.joined.extents import Extent, extent, walk
from pipeline.audio.joined.page_numbers import PageNumbers
from pipeline.audio.joined.programs import FOLLOWED
from pipeline.audio.joined.trailers import SOUND_CHUNKS, past_trailers
from pipeline.audio.joined.units import LONGEST_SPACING, UNITS, Units
from pipeline.audio.joined.window import Window
from pipeline.audio.sniff import MOST_TAGS, recognised
from pipeline.errors import UnsupportedMedia

_LOOK = 16 * 1024  # bytes that tell what begins at a place
_MOST_BYTES = 64 * 1024 * 1024  # that are searched for marks
_MOST_TRIES = 500  # marks that began nothing, until no more are looked at
_MOST_ROUNDS = 100  # damages, tags
_NEAR, _BLOCK = 16 * 1024, 1024 * 1024  # bytes that are searched at once: at first, and at most
_MARK = 64  # bytes; no mark is as long
_STUFFING = (b"\xaa", b"\x55")  # that encoders fill up frames with, and nobody a file: it is the rest of one
_LEAST_UNREAD = 1024  # bytes; fewer hold no sound
_READ_ON = (MP3, AAC, AC3, EAC3, DTS, MPEG, MPEGTS)  # of which whatever follows of the same kind is the same stream
# Demuxers that go no further than to the first byte that is of no unit, that of AAC to a head without a length; that of MPEG takes
# what is left of a packet for others, and passes over as much as these seem to be long.
LEFT_OUT = (FLV, WAVPACK, MPEG, AAC)
# Of these a decoder takes tags and padding behind the last frame for a damaged one.
_NOT_TO_SEE = (FLAC, WAVPACK, AC3, EAC3)
_XING_AT = (36, 21, 13)  # bytes into the first frame of an mp3, where a tag may stand
# Each with the bytes that may stand before it. One by one they are found twenty times as fast as all by one expression.
_MARKS = (
    (re.compile(rb"Xing\x00\x00\x00[\x00-\x0f]"), _XING_AT),
    (re.compile(rb"Info\x00\x00\x00[\x00-\x0f]"), _XING_AT),
    (re.compile(rb"ID3[\x02-\x04]\x00"), (0,)),
    (re.compile(rb"\x00\x00\x01\xba"), (0,)),
    *((one.mark, (one.lead,)) for container, one in SYNTAXES.items() if container is not MP3),
)


@dataclass(frozen=True, slots=True)
class Following:
    """`end`: where the recording ends, tags of its own and all. What follows begins at `begin`, with its tags, and is `found` to be
    something; else there is nothing more. `unread`: bytes that are neither. `broken`: from where to where the recording itself has
    bytes that are none of its frames or packets, between others that are; `tags`: the same of tags and padding. `lacks_pages`: some
    of Ogg are missing between others. `trailer`: the byte behind its last frame, where more stands there that its decoder would
    take for sound; 0 where none does."""

    end: int
    begin: int
    found: Found | None = None
    unread: int = 0
    broken: tuple[tuple[int, int], ...] = ()
    tags: tuple[tuple[int, int], ...] = ()
    lacks_pages: bool = False
    trailer: int = 0


def following(read: Read, size: int, first: Found) -> Following:
    """Behind what was `found` in a file of `size` bytes. Never raises, whatever the bytes are."""
    behind = _Behind(read, size, first)
    found = behind.following()
    return replace(found, broken=tuple(behind.broken), tags=tuple(behind.tags), lacks_pages=behind.lacks_pages)


class _Behind:
    def __init__(self, read: Read, size: int, first: Found) -> None:
        self._window = Window(lambda at, length: read(at, max(0, min(length, size - at))), size)
        self._size, self._first = size, first
        self._bytes, self._tries = 0, Counter[re.Pattern[bytes]]()  # what one search uses up another has
        followed = FOLLOWED.get(first.container)
        self._programs = followed() if followed else None
        self.broken, self.tags = list[tuple[int, int]](), list[tuple[int, int]]()

    @property
    def lacks_pages(self) -> bool:
        return isinstance(self._programs, PageNumbers) and self._programs.lacks_pages

    def following(self) -> Following:
        behind = self._following()
        second = self._programs.second if self._programs else None
        if second is None or second >= behind.begin:
            return behind
        return Following(second, second, Found(self._first.container, second))

    def _following(self) -> Following:
        reached = self._reached()
        if reached.end <= self._first.start:  # it is not what it was found to be
            return Following(self._size, self._size)
        for _ in range(_MOST_ROUNDS):
            if not reached.known:
                again = self._within(reached.last)
                if again is None:
                    return self._behind_unknown(reached.last)
                self.broken.append((reached.last - 1, again))
                reached = walk(self._window, again, UNITS[self._first.container], self._programs)
                continue
            place, found = self._behind_trailers(reached.end)
            if place >= self._size:
                break
            if found and not (found.container is self._first.container and found.container in _READ_ON):
                end = (
                    place if self._first.container is CAF else reached.end
                )  # whose table of packets stands behind its sound
                return Following(end, place, found)
            units = UNITS.get(self._first.container)
            # A page of Ogg that is too long hides the next one.
            within = reached.last if self._first.container is OGG else place
            again = found.start if found else self._again(units, within) if units else None
            if found is None and (marked := self._marked(reached.last + 1, again or self._size)):
                if not self._goes_on(marked):
                    return marked
                place = reached.last
                again = marked.begin
            if again is None or units is None:
                return (
                    self._read_anyhow(reached.end, place)
                    if self._first.container is AMR
                    else self._unread(reached, place)
                )
            if found:
                self.tags.append((reached.end, again))
            if found is None or self._window.head(reached.end, 1) in _STUFFING:
                begin = reached.end if self._is_even(reached.end) else place
                self.broken.append((begin if begin < again else reached.last, again))
            reached = walk(self._window, again, units, self._programs)
        else:
            reached = Extent(self._size, self._size)
        return Following(self._size, self._size, trailer=self._unseen(reached.end))

    def _reached(self) -> Extent:
        """As far as it goes without damage; of a transport stream with damage in its first packets, from behind that on."""
        start, units = self._first.start, UNITS[MPEGTS]
        reached = extent(self._window, self._first, self._programs)
        if self._first.container is not MPEGTS or reached.end > start or (again := self._again(units, start)) is None:
            return reached
        if again - start >= LONGEST_SPACING:  # less is what is left of a packet where a recorder was switched on
            self.broken.append((start, again))
        return walk(self._window, again, units, self._programs)

    def _read_anyhow(self, end: int, place: int) -> Following:
        """Of AMR, where any byte may begin a frame, a demuxer reads on, whatever it is."""
        self.broken.append((end, max(end + 1, place)))
        return Following(self._size, self._size)

    def _goes_on(self, marked: Following) -> bool:
        """Whether it is the next pack of the same program, in the middle of a packet of which damage has cut off the rest."""
        return self._first.container is MPEG and marked.found is not None and marked.found.container is MPEG

    def _is_even(self, at: int) -> bool:
        """Whether it is filled with one byte there: before a frame that is broken no padding, but damage."""
        return len(set(self._window.head(at, 16))) == 1

    def _unseen(self, end: int) -> int:
        """As `Following.trailer`, of what begins where the last frame ends."""
        return end if self._first.container in _NOT_TO_SEE and end < self._size else 0

    def _unread(self, reached: Extent, place: int) -> Following:
        """What begins there is no sound that anybody can hear; of two chunks of sound a demuxer would hear the last alone."""
        count = self._size - place
        end = place if self._window.head(place, 4) in SOUND_CHUNKS else self._size
        unread = count if count >= _LEAST_UNREAD else 0
        return Following(end, self._size, unread=unread, trailer=self._unseen(reached.end))

    def _behind_unknown(self, last: int) -> Following:
        """Where the recording does not tell its end: what begins with a mark, or bare frames up to there."""
        marked = self._marked(last, self._size)
        end = marked.begin if marked else self._size
        bare = bare_frames(self._window, last, end) if self._first.container in STREAMED else None
        return Following(bare.start, bare.start, bare) if bare else marked or Following(end, end)

    def _behind_trailers(self, at: int) -> tuple[int, Found | None]:
        """Where something begins that is no trailer, and what."""
        for _ in range(_MOST_ROUNDS):
            if at >= self._size:
                break
            if found := self._recording(at):
                return at, found
            past = past_trailers(self._window, at, self._first.container)
            if past == at:
                return at, None
            for back in range(min(3, past - at - 1), 0, -1):  # padding of zeros may hide that a length begins with one
                if found := self._recording(past - back):
                    return past - back, found
            at = past
        return min(at, self._size), None

    def _recording(self, at: int) -> Found | None:
        """What begins exactly there, behind tags at most."""
        start = at
        for _ in range(MOST_TAGS):
            start += tag_length(self._window.head(start, TAG_HEADER))
        head = self._window.read(start, _LOOK)
        try:
            found = recognised(head, exactly=True) if head else None
        except UnsupportedMedia:
            return None
        if found is None or not self._begins(found.container, start):
            return None
        return Found(found.container, start, found.options)

    def _begins(self, container: Container, start: int) -> bool:
        syntax = SYNTAXES.get(container)
        if syntax and container is not MP3:
            lead = syntax.mark.match(self._window.read(start + syntax.lead, _MARK))
            return bool(lead) and syntax.begins(self._window.read, start, self._size)
        units = UNITS[container]
        return self._runs(units, start, units.again)

    def _runs(self, units: Units, at: int, certain: int) -> bool:
        """Whether so many units follow each other, or some up to the end of the file."""
        for number in range(certain):
            length = units.length(self._window, at) if at < self._size else 0
            if not length:
                return at >= self._size and number > 1
            at += length
        return True

    def _within(self, place: int) -> int | None:
        """Where the recording goes on within its last unit, as it does where damage has made that longer than the file."""
        units = UNITS.get(self._first.container)
        return self._again(units, place) if units and place < self._size else None

    def _again(self, units: Units, place: int) -> int | None:
        """Where the recording goes on behind damage."""
        if units.mark is None:
            return None
        found = self._searched([units.mark], place + 1, self._size)
        return next((at for at, _ in found if self._runs(units, at, units.again)), None)

    def _marked(self, at: int, end: int) -> Following | None:
        """What begins with a mark there or further behind."""
        for place, kind in self._searched([mark for mark, _ in _MARKS], at, end):
            for begin in (place - lead for lead in _MARKS[kind][1]):
                if begin >= at and (found := self._recording(begin)):
                    return Following(begin, begin, found)
        return None

    def _searched(self, marks: Sequence[re.Pattern[bytes]], at: int, end: int) -> Iterator[tuple[int, int]]:
        """Every place between `at` and `end` with a mark, and which, as far as all searches together may go."""
        reach = _NEAR
        while at < end and self._bytes < _MOST_BYTES:
            block = self._window.read(at, reach + _MARK)
            self._bytes += len(block)
            hits = sorted(hit for number, mark in enumerate(marks) for hit in _hits(mark, number, block))
            for place, kind in hits:
                if place >= min(reach, end - at) or self._tries[marks[0]] >= _MOST_TRIES:
                    break
                self._tries[marks[0]] += 1
                yield at + place, kind
            at, reach = at + reach, min(4 * reach, _BLOCK)


def _hits(mark: re.Pattern[bytes], kind: int, block: bytes) -> Iterator[tuple[int, int]]:
    return ((match.start(), kind) for match in islice(mark.finditer(block), _MOST_TRIES))
