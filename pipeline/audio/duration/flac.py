"""FLAC (RFC 9639): its frames one by one, each with its own number and a checked header."""

from __future__ import annotations

import math
import sys

from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.sniff import tag_length

_STREAMINFO, _LAST = 0, 0x80
_STREAMINFO_SIZE = 18  # bytes up to where a checksum of the sound begins
_SIZES = {
    1: 192,
    **{code: 576 << (code - 2) for code in range(2, 6)},
    **{code: 256 << (code - 8) for code in range(8, 16)},
}
_LONGEST_HEADER = 16  # bytes
_QUIET = 0.5  # bits for a sample


def _crc8_table() -> bytes:
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
        table.append(crc & 0xFF)
    return bytes(table)


_CRC8 = _crc8_table()


def extent(data: bytes) -> Extent | None:
    """None unless every frame of a stream with equal blocks is found, and the length that the header states is theirs."""
    at = tag_length(data[:10]) + 4
    info = None
    while True:
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        if kind & 0x7F == _STREAMINFO:
            info = data[at + 4 : at + 4 + size]
        at += 4 + size
        if kind & _LAST:
            break
    if info is None or len(info) < _STREAMINFO_SIZE or info[0:2] != info[2:4]:
        return None
    packed = int.from_bytes(info[10:18], "big")
    rate, stated = packed >> 44, packed & (1 << 36) - 1
    sizes, places = _frames(data, at)
    samples = sum(sizes)
    if not sizes or (stated and stated != samples) or any(size != sizes[0] for size in sizes[:-1]):
        return None
    spent = [8 * (end - begin) / size for begin, end, size in zip(places, [*places[1:], len(data)], sizes, strict=True)]
    return Extent(samples, rate, [20 * math.log10(2) * max(_QUIET, bits) for bits in spent[:-1] or spent])


def _frames(data: bytes, at: int) -> tuple[list[int], list[int]]:
    """(samples, offset) of each frame; the numbers in their headers count up from zero."""
    sizes: list[int] = []
    places: list[int] = []
    if data[at : at + 2] != b"\xff\xf8":
        return sizes, places
    while at >= 0:
        size = _block(data[at : at + _LONGEST_HEADER], len(sizes))
        if size:
            sizes.append(size)
            places.append(at)
        at = data.find(b"\xff\xf8", at + 1)
    return sizes, places


def _block(header: bytes, number: int) -> int:
    """Samples of the frame, 0 where this is not the header of frame `number`."""
    coded = chr(number).encode("utf-8", "surrogatepass") if number <= sys.maxunicode else b""
    end = 4 + len(coded)
    code, rate_code = header[2] >> 4, header[2] & 15
    if not coded or header[4:end] != coded or not code:
        return 0
    size = _SIZES.get(code, 0)
    if code in (6, 7):
        size = int.from_bytes(header[end : end + code - 5], "big") + 1
        end += code - 5
    end += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    crc = 0
    for byte in header[:end]:
        crc = _CRC8[crc ^ byte]
    return size if header[end] == crc else 0
