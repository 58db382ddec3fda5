"""MPEG transport streams (ISO/IEC 13818-1): packets of 188 bytes, in cameras' files with a clock of 4 before each.

A packet's mark is the letter G, so that marks alone prove nothing: what the packets carry must begin as it does in a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

_PACKET = 188
_SPACINGS = (_PACKET, 192, 204)  # bare, with a clock, with a checksum
_MARK = b"G"
_CERTAIN = 5  # packets in a row
_TORN = 3072  # bytes at the front that may be damaged
_MOST_PLACES = 4  # where packets follow each other, of which one may be the stream
_SOUND_OR_PICTURE = re.compile(rb"\x00\x00\x01[\xbd\xc0-\xef\xfd]")
_PROGRAMS = b"\x00"  # the kind of table that lists them
_LONGEST_FIELD = 183  # bytes that may precede what a packet carries
_CLOCK = 7  # bytes of such a field that has a clock in it, at least
_TABLE, _PROGRAM, _STREAM = 8, 4, 5  # bytes of a table's header, and of an entry in it
_LIST, _MAP = 0x00, 0x02  # kinds of tables: of all programs, and of the streams of one
_CHECKSUM = 4
_SOUNDS = (0x03, 0x04, 0x0F, 0x11, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x87, 0xA1, 0xA2)  # kinds of streams
_PRIVATE = 0x06  # a stream that only its descriptors tell of
_SOUND_TOLD = (
    b"\x6a",
    b"\x7a",
    b"\x7b",
    b"\x7c",
    b"\x05\x04Opus",
    b"\x05\x04AC-3",
    b"\x05\x04EAC3",
    b"\x05\x04BSSD",
    b"\x05\x04DTS",
)


def is_transport_stream(data: bytes) -> bool:
    """Whether packets follow each other, and one of them lists the programs or begins a piece of sound or picture. Where the first
    one has its mark, the next may be damaged."""
    within = _TORN if data.startswith(_MARK) else 0
    return any(any(map(_tells, _packets(data, *place))) for place in islice(_places(data, within), _MOST_PLACES))


def clocks(data: bytes) -> Iterator[tuple[int, float]]:
    """(stream's identity, seconds) of every mark of a clock in a piece of a transport stream."""
    for place in islice(_places(data), 1):
        for packet in _packets(data, *place):
            if packet[0] == _MARK[0] and packet[3] & 0x20 and packet[4] >= _CLOCK and packet[5] & 0x10:
                yield _identity(packet), (int.from_bytes(packet[6:11], "big") >> 7) / 90_000


def programs(packet: bytes) -> dict[int, int]:
    """Each program's number with the identity of its table, in a packet that begins the list of them; {} in any other."""
    rows = _rows(packet, _LIST)
    found = [
        (int.from_bytes(rows[at : at + 2], "big"), _identity(rows[at + 1 :]))
        for at in range(0, len(rows) - 3, _PROGRAM)
    ]
    return {number: place for number, place in found if number}


def sounds(packet: bytes) -> tuple[int, frozenset[tuple[int, int]]]:
    """A program's number, and kind and identity of all its sound, in a packet that begins its table; (0, none) in any other."""
    rows, found = _rows(packet, _MAP), set[tuple[int, int]]()
    if len(rows) < _PROGRAM:
        return 0, frozenset()
    content = _content(packet)
    number = int.from_bytes(content[content[0] + 4 : content[0] + 6], "big")
    at = _PROGRAM + _length(rows[2:])
    while at + _STREAM <= len(rows):
        end = at + _STREAM + _length(rows[at + 3 :])
        if rows[at] in _SOUNDS or (rows[at] == _PRIVATE and _is_sound(rows[at + _STREAM : end])):
            found.add((rows[at], _identity(rows[at:])))
        at = end
    return number, frozenset(found)


def _rows(packet: bytes, kind: int) -> bytes:
    """What a table of that kind holds behind its header, as far as its first packet has it."""
    content = _content(packet) if packet[1] & 0x40 else b""
    table = content[1 + content[0] :] if content else b""
    if len(table) < _TABLE or table[0] != kind:
        return b""
    return table[_TABLE : max(_TABLE, 3 + _length(table[1:]) - _CHECKSUM)]


def _length(field: bytes) -> int:
    return int.from_bytes(field[:2], "big") & 0x0FFF


def _is_sound(descriptors: bytes) -> bool:
    at = 0
    while at + 1 < len(descriptors):
        if descriptors[at:].startswith(_SOUND_TOLD):
            return True
        at += 2 + descriptors[at + 1]
    return False


def _places(data: bytes, within: int = 0) -> Iterator[tuple[int, int]]:
    """(where the first packet begins, bytes from one to the next) wherever packets seem to follow each other, up to the length of
    one or `within` so many bytes."""
    for spacing in _SPACINGS:
        end = max(spacing, within)
        start = data.find(_MARK, 0, end)
        while start >= 0:
            if _follow(data, start, spacing):
                yield start, spacing
            start = data.find(_MARK, start + 1, end)


def _packets(data: bytes, start: int, spacing: int) -> Iterator[bytes]:
    return (data[at : at + _PACKET] for at in range(start, len(data) - _PACKET + 1, spacing))


def _follow(data: bytes, start: int, spacing: int) -> bool:
    end = start + _CERTAIN * spacing
    return len(data) >= end - (spacing - _PACKET) and all(
        data[at] == _MARK[0] and data[at + 3] & 0x30 for at in range(start, end, spacing)
    )


def _tells(packet: bytes) -> bool:
    """Whether this packet begins what only a stream has."""
    content = _content(packet)
    if packet[0] != _MARK[0] or not packet[1] & 0x40 or not content:
        return False
    if _identity(packet) == 0:
        return content[1 + content[0] :].startswith(_PROGRAMS)
    return bool(_SOUND_OR_PICTURE.match(content))


def _identity(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def _content(packet: bytes) -> bytes:
    """What a packet carries, b"" for nothing."""
    if not packet[3] & 0x10:
        return b""
    if not packet[3] & 0x20:
        return packet[4:]
    return packet[5 + packet[4] :] if packet[4] < _LONGEST_FIELD else b""
