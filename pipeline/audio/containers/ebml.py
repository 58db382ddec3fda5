"""Elements of Matroska and WebM (EBML: RFC 8794, Matroska: RFC 9559): what begins where, and how long it says it is."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read

EBML, SEGMENT, CLUSTER, INFO, DOCUMENT = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1549A966, 0x4282
INDEX, TAGS, FILES, CHAPTERS, PADDING, CHECKSUM = 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0xEC, 0xBF
SEEK_HEAD = 0x114D9B74
BEHIND_SOUND = (INDEX, TAGS, FILES, CHAPTERS, PADDING)
SCALE, DURATION = 0x2AD7B1, 0x4489  # in INFO
TIME, SIMPLE_BLOCK, GROUP, BLOCK, LASTS = 0xE7, 0xA3, 0xA0, 0xA1, 0x9B  # in CLUSTER; the last two in GROUP
TRACKS, TRACK, NUMBER, KIND = 0x1654AE6B, 0xAE, 0xD7, 0x83  # the last two in TRACK
_MILLISECOND = 1_000_000  # ns
_SHORT_FLOAT, _LONGEST_NUMBER = 4, 8  # bytes
_DOCUMENTS = (b"matroska", b"webm")
_LONGEST = 12  # bytes of a name and a length
_LONGEST_NAME = 4
_MOST_ELEMENTS = 64  # in a header


@dataclass(frozen=True, slots=True)
class Element:
    """`start` is where its content begins; `length` is None where its writer did not know it."""

    name: int
    start: int
    length: int | None

    @property
    def end(self) -> int | None:
        """The first byte behind it."""
        return None if self.length is None else self.start + self.length


@dataclass(frozen=True, slots=True)
class Times:
    """In which unit a file tells times, in ns, and how long it says that it is, in that unit."""

    unit: int = _MILLISECOND
    length: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it says that it is."""
        return self.length * self.unit / 1e9 if self.length else None


def times(read: Read, info: Element) -> Times:
    """By the element INFO. Raises struct.error for a length that is no number."""
    unit, length = _MILLISECOND, None
    for one in elements(read, info.start, info.end or 0):
        if one.name == SCALE:
            unit = number(read, one)
        elif one.name == DURATION:
            content = read(one.start, min(one.length or 0, _LONGEST_NUMBER))
            (length,) = struct.unpack(">f" if len(content) == _SHORT_FLOAT else ">d", content)
    return Times(unit, length)


def number(read: Read, one: Element) -> int:
    """What an element holds that is a whole number."""
    return int.from_bytes(read(one.start, min(one.length or 0, _LONGEST_NUMBER)), "big")


def element(read: Read, at: int) -> Element | None:
    """The element that begins at `at`; it may reach beyond the end of the file."""
    head = read(at, _LONGEST)
    width = 9 - head[0].bit_length() if head else 9
    if width > _LONGEST_NAME or len(head) <= width:
        return None
    size_width = 9 - head[width].bit_length()
    end = width + size_width
    if not head[width] or len(head) < end:
        return None
    most = (1 << 7 * size_width) - 1
    length = int.from_bytes(head[width:end], "big") & most
    return Element(int.from_bytes(head[:width], "big"), at + end, None if length == most else length)


def elements(read: Read, at: int, end: int, most: int = _MOST_ELEMENTS) -> Iterator[Element]:
    """Those in a row from `at` to `end`, at most so many; one whose length is unknown is the last."""
    for _ in range(most):
        one = element(read, at) if at < end else None
        if one is None:
            return
        yield one
        if one.length is None:
            return
        at = one.start + one.length


def segment(read: Read, at: int, size: int) -> Element | None:
    """The segment of the file that begins at `at`, None where none of Matroska or WebM does."""
    header = element(read, at)
    if header is None or header.name != EBML or header.length is None:
        return None
    end = header.start + header.length
    inside = elements(read, header.start, end)
    if not any(one.name == DOCUMENT and read(one.start, one.length or 0).rstrip(b"\0") in _DOCUMENTS for one in inside):
        return None
    return next((one for one in elements(read, end, size) if one.name == SEGMENT), None)
