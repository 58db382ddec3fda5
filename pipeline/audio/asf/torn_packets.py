"""Packets of Windows Media (ASF) that damage has hit, of which a demuxer or a decoder may say nothing.

A packet that does not begin as the others do is passed over. Zeros inside of one reach the decoder, which takes them for silence
where it is that of Windows Media Audio 1 or 2: its frames have neither a length nor a checksum. Sources: Microsoft, Advanced
Systems Format, revision 01.20.06, section 5.2; and what encoders write.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.audio.asf.header import audio_streams, packets
from pipeline.audio.step_budget import Read

Stretch = tuple[float, float]  # seconds

_MOST_PACKETS = 1_000_000
_READ = 64 * 1024  # bytes at once
_MARK = bytes(
    (0x82, 0, 0)
)  # how a packet begins with error correction data, two bytes of zeros, as all writers leave them
_REPLICATED = 8  # bytes in front of a payload: the size of the object that it belongs to, and its time in ms
_KINDS = (0x160, 0x161)  # of a format: Windows Media Audio 1 and 2
_ZEROS = bytes(16)  # at least, where any stand for something else
# The most zeros that a whole frame was seen to have, of a high tone, are 49 bytes. Those up to a payload's end are padding.
_HOLE = re.compile(rb"\0{96,}(?=[^\0])")
_SETTLES = 0.25  # seconds; a frame overlaps with the next one, and lies in as many packets as it likes


def broken_packets(read: Read, at: int, size: int) -> tuple[tuple[int, int], ...]:
    """From where to where packets do not begin as the first does, in the recording that begins at `at`. None where they tell
    nothing by that. Raises what `read` does alone."""
    found = list[tuple[int, int]]()
    for place, packet in _each(read, at, size):
        if not packet.startswith(_MARK):
            begin = found.pop()[0] if found and found[-1][1] == place else place
            found.append((begin, place + len(packet)))
    return tuple(found)


def zeroed(read: Read, at: int, size: int) -> tuple[tuple[Stretch, ...], ...]:
    """For each stream of sound when zeros stand for it, in seconds behind its first. Raises what `read` does alone."""
    try:
        streams = audio_streams(read, at)
    except (IndexError, ValueError, struct.error):
        return ()
    kinds = {number: int.from_bytes(form[:2], "little") for number, form in streams.items()}
    return tuple(tuple(_zeroed(read, at, size, number)) if kind in _KINDS else () for number, kind in kinds.items())


def _zeroed(read: Read, at: int, size: int, stream: int) -> Iterator[Stretch]:
    """From the last payload that is whole, or the one that holds zeros, to where the first behind it has settled."""
    first, begin, before = math.nan, math.nan, b""
    for _, packet in _each(read, at, size):
        is_torn = _ZEROS in packet and _is_torn(packet, stream)
        if math.isnan(first):
            first = next(_times(packet, stream), math.nan)
        if is_torn and math.isnan(begin):
            begin = max((*_times(before, stream), *_times(packet, stream, to_hole=True)), default=first)
        elif not is_torn and not math.isnan(begin):
            yield max(0.0, begin - first), next(_times(packet, stream), begin) - first + _SETTLES
            begin = math.nan
        before = packet
    if not math.isnan(begin):
        yield max(0.0, begin - first), begin - first + _SETTLES


def _is_torn(packet: bytes, stream: int) -> bool:
    """Whether zeros stand in one of the stream's payloads, or where it should say what the next one is."""
    payloads = list(_payloads(packet))
    holes = (one is None or (one.stream == stream and _HOLE.search(one.data)) for one in payloads)
    return not payloads or any(holes)


def _times(packet: bytes, stream: int, *, to_hole: bool = False) -> Iterator[float]:
    """When its payloads are played, of all that make sense; or up to the first with zeros in it."""
    for one in _payloads(packet):
        if one is None:
            return
        if one.stream == stream:
            yield one.time
        if to_hole and _HOLE.search(one.data):
            return


@dataclass(frozen=True, slots=True)
class _Payload:
    """`time` in seconds is that of the object that it is a part of."""

    stream: int
    time: float
    data: bytes


def _each(read: Read, at: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Each packet, and where it begins; none where the first does not begin as they mostly do."""
    try:
        first, length, end = packets(read, at, size)
    except (IndexError, ValueError, struct.error):
        return
    if read(first, len(_MARK)) != _MARK:
        return
    together = max(1, _READ // length) * length
    last = min(end, first + _MOST_PACKETS * length)
    for begin in range(first, last - length + 1, together):
        block = read(begin, min(together, last - begin))
        for offset in range(0, len(block) - length + 1, length):
            yield begin + offset, block[offset : offset + length]


def _payloads(packet: bytes) -> Iterator[_Payload | None]:
    """None where the next one makes no sense."""
    try:
        yield from _parsed(packet)
    except IndexError:
        yield None


def _parsed(packet: bytes) -> Iterator[_Payload]:
    """Raises IndexError."""
    if not packet.startswith(_MARK):
        return
    fields = _Fields(packet, len(_MARK))
    lengths, properties = fields.number(1), fields.number(1)
    length = fields.of_type(lengths >> 5) or len(packet)
    fields.of_type(lengths >> 1)  # its number
    end = min(length, len(packet)) - fields.of_type(lengths >> 3)
    fields.number(6)  # when it is sent, and for how long
    many = fields.number(1) if lengths & 1 else 1
    for _ in range(many & 0x3F):
        stream = fields.number(1) & 0x7F
        for kind in (properties >> 4, properties >> 2):  # the object's number, and where in it this belongs
            fields.of_type(kind)
        replicated = fields.data(fields.of_type(properties))
        data = fields.data(fields.of_type(many >> 6) if lengths & 1 else end - fields.at)
        if not stream or not data:
            raise IndexError
        if len(replicated) >= _REPLICATED:
            yield _Payload(stream, int.from_bytes(replicated[4:8], "little") / 1000, data)


class _Fields:
    """What a packet says of itself, one after the other."""

    def __init__(self, packet: bytes, at: int) -> None:
        self._packet, self.at = packet, at

    def data(self, length: int) -> bytes:
        """Raises IndexError behind the packet's end."""
        if length < 0 or self.at + length > len(self._packet):
            raise IndexError
        self.at += length
        return self._packet[self.at - length : self.at]

    def number(self, length: int) -> int:
        """Of so many bytes."""
        return int.from_bytes(self.data(length), "little")

    def of_type(self, kind: int) -> int:
        """Of so many bytes as two bits say: none, one, two or four."""
        return self.number((0, 1, 2, 4)[kind & 3])
