"""Pages of Ogg (RFC 3533): their headers, their checksums, and the first pages of a group of streams."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read

MARK = b"OggS"
CONTINUED, FIRST, LAST = 1, 2, 4  # flags: it begins inside a packet; the first page of a stream, and its last
UNKNOWN = (1 << 64) - 1  # the position of a page on which no packet ends
_HEADER = struct.Struct("<4sBBQIIIB")
LONGEST_HEADER = _HEADER.size + 255  # bytes
_MOST_FIRST = 64  # streams side by side
_LONGEST_FIRST = 4096  # bytes; such a page holds nothing but one short packet
_CRC_AT, _FULL = 22, 255  # where its checksum stands; the size of a piece that is not a packet's last
_SOUNDS = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC", b"fLaC")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `at` its first byte, `content` that of what it carries, `end` the first behind it, `table` its pieces' sizes."""

    at: int
    flags: int
    position: int
    serial: int
    number: int
    content: int
    end: int
    table: bytes


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
    return Page(at, flags, position, serial, number, content, content + sum(table), table)


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


def packets(one: Page) -> list[tuple[int, int]]:
    """Of each packet that begins and ends on it the first byte's offset and the size."""
    found, at, begin = list[tuple[int, int]](), one.content, None if one.flags & CONTINUED else one.content
    for lacing in one.table:
        at += lacing
        if lacing < _FULL:
            if begin is not None:
                found.append((begin, at - begin))
            begin = at
    return found


def page_of(packet: bytes, serial: int, number: int, position: int) -> bytes:
    """A page with one packet, of less than 255 bytes, which ends at that position."""
    return _summed(_HEADER.pack(MARK, 0, 0, position, serial, number, 0, 1) + bytes([len(packet)]) + packet)


def moved(whole: bytes, serial: int, number: int, position: int) -> bytes:
    """The same page as one of another stream, there."""
    mark, version, flags, _, _, _, crc, count = _HEADER.unpack(whole[: _HEADER.size])
    return _summed(_HEADER.pack(mark, version, flags, position, serial, number, crc, count) + whole[_HEADER.size :])


def flagged(whole: bytes, flags: int, position: int) -> bytes:
    """The same page with those flags, which ends there."""
    mark, version, _, _, serial, number, crc, count = _HEADER.unpack(whole[: _HEADER.size])
    return _summed(_HEADER.pack(mark, version, flags, position, serial, number, crc, count) + whole[_HEADER.size :])


def _summed(data: bytes) -> bytes:
    return data[:_CRC_AT] + _checksum(data) + data[_CRC_AT + 4 :]


def sums_up(whole: bytes) -> bool:
    """Whether the checksum in a page is that of the page, without itself."""
    return _checksum(whole) == whole[_CRC_AT : _CRC_AT + 4]


def _checksum(whole: bytes) -> bytes:
    """Of the same polynomial as that of zlib, which begins with each byte's last bit, Ogg with its first; and begins at zero."""
    turned = (whole[:_CRC_AT] + bytes(4) + whole[_CRC_AT + 4 :]).translate(_TURNED)
    crc = zlib.crc32(turned, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(_TURNED)


_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
