"""Opus in Ogg (RFC 7845): the packets that are there, against the positions that the pages state."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.duration.opus_packets import RATE, loudness, packet_samples

_HEADER = 27  # bytes of a page before its table
_FULL = 255
_CONTINUED, _FIRST, _LAST = 1, 2, 4  # flags of a page
_UNKNOWN = (1 << 64) - 1
_HEADERS = 2  # packets before the first with sound


def extent(data: bytes) -> Extent | None:
    """None for anything but one stream of Opus from its beginning, whose positions are those of its packets."""
    counted, position, skip, seen, levels = 0, 0, 0, 0, list[float]()
    for granule, packets in _pages(data):
        before = counted
        for place, size in packets:
            seen += 1
            if seen == 1:
                skip = _pre_skip(data[place : place + size])
            elif seen > _HEADERS and size:
                samples = packet_samples(data[place], data[place + 1] if size > 1 else 0)
                counted += samples
                levels.append(loudness(size, samples))
        if granule not in (0, _UNKNOWN):
            position = granule
            if not before < granule <= counted:
                return None
    return Extent(position - skip, RATE, levels) if position else None


def _pre_skip(head: bytes) -> int:
    if not head.startswith(b"OpusHead"):
        raise ValueError
    (skip,) = struct.unpack_from("<H", head, 10)
    return int(skip)


def _pages(data: bytes) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """(position, packets that end on it) of each page; of a packet its first byte's offset and its size. Raises ValueError."""
    at, serial, number, begun, held = 0, None, 0, 0, 0
    while at < len(data):
        magic, flags, granule, stream, sequence, count = struct.unpack_from("<4sxBQII4xB", data, at)
        serial = stream if serial is None else serial
        if magic != b"OggS" or stream != serial or sequence != number or bool(flags & _CONTINUED) != bool(held):
            raise ValueError
        table = data[at + _HEADER : at + _HEADER + count]
        at += _HEADER + count
        packets = []
        for lacing in table:
            begun = begun if held else at
            held += lacing
            at += lacing
            if lacing < _FULL:
                packets.append((begun, held))
                held = 0
        if at > len(data):
            raise ValueError
        yield granule, packets
        number += 1
