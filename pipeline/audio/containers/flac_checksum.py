"""The checksum at the end of every frame of FLAC (RFC 9639, section 9.3): CRC-16 of the polynomial 0x8005, from zero.

A loop over bytes would cost more than to decode the sound. A checksum is linear: what each byte of a block adds to it depends on
its place alone and is looked up, for all bytes at once; and zeros in front add nothing, so that every frame fills whole blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x8005
_BLOCK = 256  # bytes


def whole_frames(data: bytes, places: Sequence[int]) -> bool:
    """Whether all frames that begin at `places` are whole up to the next one's beginning, the last up to the end."""
    sound = np.frombuffer(data, np.uint8)
    return all(_checksum(sound[begin:end]) == 0 for begin, end in zip(places, [*places[1:], len(data)], strict=True))


def _checksum(frame: NDArray[np.uint8]) -> int:
    """0 for a frame with the right checksum behind it."""
    table, high, low = _tables()
    padded = np.zeros(-(-len(frame) // _BLOCK) * _BLOCK, np.uint8)
    padded[len(padded) - len(frame) :] = frame
    added = table.take(padded.reshape(-1, _BLOCK) + 256 * np.arange(_BLOCK))
    parts = np.bitwise_xor.reduce(added, axis=1)
    crc = 0
    for part in parts.tolist():
        crc = high[crc >> 8] ^ low[crc & 0xFF] ^ part
    return crc


@cache
def _tables() -> tuple[NDArray[np.uint16], list[int], list[int]]:
    """What each of the 256 bytes adds in each place of a block; and what a block makes of either half of the checksum before it."""
    first = np.arange(256, dtype=np.uint32) << 8
    for _ in range(8):
        first = np.where(first & 0x8000, first << 1 ^ _POLYNOMIAL, first << 1) & 0xFFFF
    rows = [first]
    for _ in range(_BLOCK - 1):
        rows.append(rows[-1] << 8 & 0xFFFF ^ first[rows[-1] >> 8])
    return np.array(rows[::-1], dtype=np.uint16).ravel(), rows[-1].tolist(), rows[-2].tolist()
