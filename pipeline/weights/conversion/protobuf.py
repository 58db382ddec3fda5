"""Fields of a protobuf message, written one by one (the encoding's guide calls them `LEN` and `VARINT`)."""

from __future__ import annotations

_SEVEN_BITS = 0x7F
_LEN = 2


def text(field: int, words: str) -> bytes:
    """A string."""
    return message(field, words.encode())


def message(field: int, content: bytes) -> bytes:
    """Bytes, or another message."""
    return _varint(field << 3 | _LEN) + _varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    """A whole number of 64 bits, which may be negative."""
    return _varint(field << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _varint(value: int) -> bytes:
    told = bytearray()
    while value > _SEVEN_BITS:
        told.append(value & _SEVEN_BITS | 0x80)
        value >>= 7
    return bytes((*told, value))
