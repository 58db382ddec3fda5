"""A VOC so that a decoder hears all of it, at its time.

Where blocks are lost or overwritten it would take what stands in their place for the header of another, or for the end of the file.
What comes behind them is found by blocks that go on there as those before the damage did. Bytes that are no blocks become one of
text, which every decoder passes over; a block out of which bytes are missing becomes so much shorter.

ffmpeg besides knows no silence, which has blocks of its own, ends where something was to be repeated, and hears by the first rate
what has another: that becomes a recording of its own behind the first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.audio.containers.avi_index import Absent
from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.voc_blocks import (
    BEGIN,
    END,
    EXTENDED,
    HEADER,
    LONGEST,
    LOOK,
    MAGIC,
    MORE,
    NEW_SOUND,
    REPEATED,
    SILENCE,
    SOUND,
    TEXT,
    Layout,
    block_length,
    first_block,
    layout,
    silence_seconds,
    sound_begins,
    sound_bytes,
)
from pipeline.audio.joined.window import Window

_MOST_PARTS, _MOST_PLACES, _MOST_TRIES = 500, 1_000, 5_000  # and places that are torn, and that look like a block
_MOST_BYTES = 64 * 1024 * 1024  # that are searched
_BLOCK = 1024 * 1024  # bytes at once
_USUAL = 8  # lengths that blocks are looked for by, the most frequent ones
_CERTAIN = 4  # blocks in a row that prove that it goes on
_BETWEEN = END + BEGIN  # two parts


@dataclass
class Part:
    """A recording of one rate, which begins at this byte of the mended file: what is not heard of it, and when; which bytes no
    decoder may see; and how many are missing of which nobody knows how long they were."""

    start: int
    absent: list[Absent] = field(default_factory=list)
    left_out: list[tuple[int, int]] = field(default_factory=list)
    lost: int = 0


@dataclass
class MendedVoc:
    """`changes`: what has to stand at which byte of the file. `put_in`: what then has to be put in, before which byte."""

    parts: list[Part]
    changes: list[tuple[int, bytes]] = field(default_factory=list)
    put_in: list[tuple[int, bytes]] = field(default_factory=list)


def mended_voc(read: Read, at: int, size: int) -> MendedVoc | None:
    """Of the VOC that begins at `at` in a file of `size` bytes; None where a decoder hears all that can be heard as it is. Raises
    what `read` does alone."""
    walk = _Walk(Window(read, size), size, MendedVoc([Part(at)]))
    walk.go(at + first_block(read(at, len(MAGIC) + 2)))
    found = walk.found
    is_plain = not (found.changes or found.put_in or any(part.absent or part.left_out for part in found.parts))
    return None if is_plain else found


@dataclass
class _Walk:
    """From block to block. `seconds` of the part that has been reached; `last`: the block before, and what it begins with."""

    window: Window
    end: int
    found: MendedVoc
    seconds: float = 0.0
    silent_from: float | None = None  # if nothing but silence has come since
    last: tuple[int, bytes] = (0, b"")
    lengths: Counter[int] = field(default_factory=Counter)  # of blocks that go on
    layout: Layout | None = None
    extended: tuple[int, bytes] | None = None  # a block that was just passed, and its content
    tries: int = 0
    searched: int = 0

    def go(self, place: int) -> None:
        while place < self.end and len(self.found.changes) < _MOST_PLACES:
            head = self.window.head(place, LOOK)
            length = block_length(head)
            if length and place + length <= self.end and self._take(place, head, length):
                self.last, place = (place, head), place + length
                continue
            again = self._again(place)
            if again is None:
                return
            self._mend(place, again)
            place = again

    @property
    def part(self) -> Part:
        return self.found.parts[-1]

    def _take(self, place: int, head: bytes, length: int) -> bool:
        """Whether it is a block, and no chance."""
        if head[0] == SILENCE:
            self.silent_from = self.seconds if self.silent_from is None else self.silent_from
            self.seconds += silence_seconds(head)
        elif head[0] == REPEATED:
            begin = place + len(_BETWEEN) * len(self.found.put_in)
            self.part.left_out.append((begin, begin + length))
        elif head[0] in (SOUND, NEW_SOUND):
            return self._describe(place, head, length) and self._hear(head)
        elif head[0] == MORE:
            self.lengths[length] += 1
            self._hear(head)
        self.extended = (place, head[HEADER : HEADER + 4]) if head[0] == EXTENDED else None
        return True

    def _hear(self, head: bytes) -> bool:
        """Silence in front of it is a number on the clock."""
        if self.silent_from is not None:
            self.part.absent.append(Absent(self.silent_from, self.seconds, lost=False))
        self.silent_from = None
        self.seconds += sound_bytes(head) / self.layout.rate if self.layout else 0.0
        return True

    def _describe(self, place: int, head: bytes, length: int) -> bool:
        """Whether it can be what it tells; what is unlike all before is so if others follow it."""
        begin, extended = self.extended or (place, b"")
        self.extended = None
        told = layout(head, extended)
        if told == self.layout or (told and self.layout is None):
            self.layout = told
            return told is not None
        if told is None or not self._goes_on(place) or len(self.found.parts) >= _MOST_PARTS:
            return False
        self.found.put_in.append((begin, _BETWEEN))
        self.found.parts.append(Part(begin + len(_BETWEEN) * len(self.found.put_in) - len(BEGIN)))
        silent = 0.0 if self.silent_from is None else self.seconds - self.silent_from
        self.layout, self.seconds, self.silent_from = told, silent, 0.0 if silent else None
        return True

    def _again(self, place: int) -> int | None:
        """Where blocks go on behind the last one; it may have lost its own end. Behind the mark of another VOC they are of that."""
        at, head = self.last
        begin = sound_begins(head)
        if begin is None or self.layout is None or self._is_end(place):
            return None
        return next((found for found in self._marked(at + begin + 1) if self._goes_on(found)), None)

    def _is_end(self, place: int) -> bool:
        return self.window.head(place, len(END)) == END and place + len(END) == self.end

    def _marked(self, at: int) -> Iterator[int]:
        """Where one begins that goes on in a usual length, or is described as the last."""
        assert self.layout
        usual = [length - HEADER for length, _ in self.lengths.most_common(_USUAL)]
        going_on = [re.escape(bytes([MORE]) + length.to_bytes(3, "little")) for length in usual]
        described = b"[" + bytes([SOUND, NEW_SOUND]) + b"]...(?=" + re.escape(self.layout.described) + b")"
        mark = re.compile(b"|".join([b"(" + re.escape(MAGIC) + b")", *going_on, described]), re.DOTALL)
        while at < self.end and self.searched < _MOST_BYTES:
            data = self.window.read(at, min(_BLOCK + LOOK + len(MAGIC), self.end - at))
            self.searched += len(data)
            for match in mark.finditer(data):
                if match[1]:
                    self.end = at + match.start()
                if match[1] or self.tries >= _MOST_TRIES:
                    return
                if match.start() < _BLOCK:
                    self.tries += 1
                    yield at + match.start()
            at += _BLOCK

    def _goes_on(self, at: int) -> bool:
        """Whether so many blocks follow each other there, or some up to the end."""
        for number in range(_CERTAIN):
            length = block_length(self.window.read(at, HEADER))
            if not length:
                return (number > 0 and self._is_padding(at)) if at <= self.end else number > 1
            at += length
        return True

    def _is_padding(self, at: int) -> bool:
        return not any(self.window.read(at, _BLOCK)[: self.end - at])

    def _mend(self, place: int, again: int) -> None:
        """Whole blocks of the usual length are overwritten; anything else may be more or less than was there."""
        assert self.layout
        usual, gap = next(iter(self.lengths.most_common(1)), (0, 0))[0], again - place
        if gap >= 2 * HEADER:
            self.found.changes += _as_text(place, again)
        else:
            at, _ = self.last
            self.found.changes.append((at + 1, (again - at - HEADER).to_bytes(3, "little")))
            self.seconds += gap / self.layout.rate
        if usual and gap > 0 and not gap % usual:
            begin, self.seconds = self.seconds, self.seconds + gap // usual * (usual - HEADER) / self.layout.rate
            self.part.absent.append(Absent(begin, self.seconds))
        else:
            self.part.lost += max(1, abs(gap))


def _as_text(start: int, end: int) -> Sequence[tuple[int, bytes]]:
    """A block of it from there to there; several where it is too long."""
    changes = list[tuple[int, bytes]]()
    while start < end:
        length = min(end - start, LONGEST)
        length -= HEADER * (0 < end - start - length < 2 * HEADER)  # no rest that is too short for one
        changes.append((start, bytes([TEXT]) + (length - HEADER).to_bytes(3, "little")))
        start += length
    return changes
