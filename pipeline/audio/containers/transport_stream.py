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
_MOST_PLACES = 4  # where packets follow each other, of which one may be the stream
_SOUND_OR_PICTURE = re.compile(rb"\x00\x00\x01[\xbd\xc0-\xef\xfd]")
_PROGRAMS = b"\x00"  # the kind of table that lists them
_LONGEST_FIELD = 183  # bytes that may precede what a packet carries
_CLOCK = 7  # bytes of such a field that has a clock in it, at least


def is_transport_stream(data: bytes) -> bool:
    """Whether packets follow each other, and one of them lists the programs or begins a piece of sound or picture."""
    return any(any(map(_tells, _packets(data, *place))) for place in islice(_places(data), _MOST_PLACES))


def clocks(data: bytes) -> Iterator[tuple[int, float]]:
    """(stream's identity, seconds) of every mark of a clock in a piece of a transport stream."""
    for place in islice(_places(data), 1):
        for packet in _packets(data, *place):
            if packet[0] == _MARK[0] and packet[3] & 0x20 and packet[4] >= _CLOCK and packet[5] & 0x10:
                yield _identity(packet), (int.from_bytes(packet[6:11], "big") >> 7) / 90_000


def _places(data: bytes) -> Iterator[tuple[int, int]]:
    """(where the first packet begins, bytes from one to the next) wherever packets seem to follow each other."""
    for spacing in _SPACINGS:
        start = data.find(_MARK, 0, spacing)
        while start >= 0:
            if _follow(data, start, spacing):
                yield start, spacing
            start = data.find(_MARK, start + 1, spacing)


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
