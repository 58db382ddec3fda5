"""Opus in Ogg (RFC 7845): the packets that are there, against the positions that the pages state."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ogg_pages import CONTINUED, FIRST, LAST, UNKNOWN, Page, page, sums_up
from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.duration.opus_packets import RATE, loudness, packet_samples
from pipeline.audio.step_budget import StepBudget

_FULL = 255
OPUS_HEADERS = 2  # packets before the first with sound
_FAMILY_AT = 18  # in the first packet: which channels there are, 0 for one or two
_HEAD_SIZE = 19  # bytes of it


def extent(data: bytes, steps: StepBudget) -> Extent | None:
    """None for anything but one stream of Opus from its beginning, whose positions are those of its packets."""
    counted, position, seen, levels = 0, 0, 0, list[float]()
    head, plain, ended = b"", True, False
    for one, packets in pages(lambda at, length: data[at : at + length], 0, len(data), steps):
        before = counted
        for place, size in packets:
            seen += 1
            if seen == 1:
                head = data[place : place + size]
            elif seen > OPUS_HEADERS and size:
                samples = packet_samples(data[place], data[place + 1] if size > 1 else 0)
                counted += samples
                levels.append(loudness(size, samples))
        plain &= not ended and sums_up(data[one.at : one.end])
        ended = bool(one.flags & LAST)
        if one.position not in (0, UNKNOWN):
            position = one.position
            plain &= position == counted or ended
            if not before < position <= counted:
                return None
    return (
        Extent(position - _pre_skip(head), RATE, levels, plain and ended and _of_one_channel(head))
        if position
        else None
    )


def _pre_skip(head: bytes) -> int:
    if not head.startswith(b"OpusHead"):
        raise ValueError
    return int.from_bytes(head[10:12], "little")


def _of_one_channel(head: bytes) -> bool:
    return len(head) == _HEAD_SIZE and head[9] == 1 and not head[_FAMILY_AT]


def pages(read: Read, at: int, size: int, steps: StepBudget) -> Iterator[tuple[Page, list[tuple[int, int]]]]:
    """Each page of the only stream in a file of `size` bytes that begins at `at`, and the packets that end on it: of each its first
    byte's offset and its size. Raises ValueError."""
    first, number, begun, held = None, 0, 0, 0
    while at < size:
        one = page(read, at)
        first = first or one
        if one is None or first is None or one.serial != first.serial or one.number != number or one.end > size:
            raise ValueError
        if bool(one.flags & CONTINUED) != bool(held) or bool(one.flags & FIRST) != (number == 0):
            raise ValueError
        steps.take(1 + len(one.table))
        at, packets = one.content, []
        for lacing in one.table:
            begun = begun if held else at
            held += lacing
            at += lacing
            if lacing < _FULL:
                packets.append((begun, held))
                held = 0
        yield one, packets
        number += 1
