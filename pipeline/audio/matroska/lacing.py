"""Several packets in one block of Matroska (RFC 9559, section 10.3), as tools write them that care for every byte."""

from __future__ import annotations

from itertools import pairwise

_FLAGS_AT, _COUNT_AT = 3, 4  # in a block whose track has a number of one byte
_XIPH, _FIXED, _EBML = 1, 2, 3
_FULL = 255


def packets(block: bytes) -> list[tuple[int, int]]:
    """(where in it, bytes) of each packet. Raises ValueError, IndexError."""
    kind = block[_FLAGS_AT] >> 1 & 3
    if not kind:
        return [(_COUNT_AT, len(block) - _COUNT_AT)]
    count, at = block[_COUNT_AT] + 1, _COUNT_AT + 1
    if kind == _FIXED:
        sizes = [(len(block) - at) // count] * count
    else:
        sizes, at = (_xiph if kind == _XIPH else _ebml)(block, at, count - 1)
        sizes.append(len(block) - at - sum(sizes))
    places = [at]
    for size in sizes:
        places.append(places[-1] + size)
    if min(sizes) < 0 or places[-1] != len(block):
        raise ValueError
    return [(begin, end - begin) for begin, end in pairwise(places)]


def _xiph(block: bytes, at: int, count: int) -> tuple[list[int], int]:
    sizes = [0] * count
    for number in range(count):
        while True:
            sizes[number] += block[at]
            at += 1
            if block[at - 1] < _FULL:
                break
    return sizes, at


def _ebml(block: bytes, at: int, count: int) -> tuple[list[int], int]:
    """The first size, then by how much each is larger than the one before it."""
    sizes: list[int] = []
    for number in range(count):
        width = 9 - block[at].bit_length()
        value = int.from_bytes(block[at : at + width], "big") & (1 << 7 * width) - 1
        sizes.append(value if not number else sizes[-1] + value - ((1 << 7 * width - 1) - 1))
        at += width
    return sizes, at
