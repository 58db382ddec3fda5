"""Pages of Ogg (RFC 3533): their headers, their checksums, and the first pages of a group of streams."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read

MARK = b"OggS"
FIRST, LAST = 2, 4  # flags: the first page of a stream, and its last
UNKNOWN = (1 << 64) - 1  # the position of a page on which no packet ends
_HEADER = struct.Struct("<4sBBQIIIB")
LONGEST_HEADER = _HEADER.size + 255  # bytes
_MOST_FIRST = 64  # streams side by side
_LONGEST_FIRST = 4096  # bytes; such a page holds nothing but one short packet
_CRC_AT = 22
_SOUNDS = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC", b"fLaC")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `at` its first byte, `content` that of what it carries, `end` the first behind it."""

    at: int
    flags: int
    position: int
    serial: int
    number: int
    content: int
    end: int


def page(read: Read, at: int) -> Page | None:
    """The page that begins at `at`; its end may be beyond that of the file."""
    header = read(at, _HEADER.size)
    if len(header) < _HEADER.size:
        return None
    mark, version, flags, position, serial, number, _, count = _HEADER.unpack(header)
    table = read(at + _HEADER.size, count)
    if mark != MARK or version or len(table) < count:
        return None
    content = at + _HEADER.size + count
    return Page(at, flags, position, serial, number, content, content + sum(table))


def first_pages(read: Read, at: int) -> int | None:
    """Where the first pages of all streams that begin together end; None where they do not begin at `at`, or none has sound."""
    sound, pages = False, 0
    while pages < _MOST_FIRST and (one := page(read, at)) and one.flags & FIRST and one.end - one.at <= _LONGEST_FIRST:
        data = read(one.at, one.end - one.at)
        if len(data) < one.end - one.at or not sums_up(data):
            break
        sound |= data[one.content - one.at :].startswith(_SOUNDS)
        at, pages = one.end, pages + 1
    return at if sound else None


def sums_up(whole: bytes) -> bool:
    """Whether the checksum in a page is that of the page, without itself."""
    crc = 0
    for byte in whole[:_CRC_AT] + bytes(4) + whole[_CRC_AT + 4 :]:
        crc = crc << 8 & 0xFFFFFFFF ^ _CRC[crc >> 24 ^ byte]
    return crc == int.from_bytes(whole[_CRC_AT : _CRC_AT + 4], "little")


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        crc = value << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x104C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()
