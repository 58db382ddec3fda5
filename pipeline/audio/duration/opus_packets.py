"""What an Opus packet says of itself (RFC 6716, section 3.1): how long it is and, by its size, how loud."""

from __future__ import annotations

import math

RATE = 48_000  # Hz, of every Opus clock
_LONGEST = 5760  # samples, 120 ms
_SILK, _HYBRID, _CELT = (480, 960, 1920, 2880), (480, 960), (120, 240, 480, 960)  # samples of a frame
_HYBRID_FROM, _CELT_FROM = 12, 16


def packet_samples(first: int, second: int) -> int:
    """Samples at 48 kHz of the packet that begins with these two bytes (the second counts in few). Raises ValueError."""
    config, code = first >> 3, first & 3
    if config < _HYBRID_FROM:
        frame = _SILK[config & 3]
    elif config < _CELT_FROM:
        frame = _HYBRID[config & 1]
    else:
        frame = _CELT[config & 3]
    samples = frame * (1, 2, 2, second & 63)[code]
    if not 0 < samples <= _LONGEST:
        raise ValueError(samples)
    return samples


def loudness(size: int, samples: int) -> float:
    """dB, roughly: an encoder with a variable rate spends about twice the bytes on a syllable that it spends on a pause."""
    return 20 * math.log2(max(1.0, size * 960 / samples))
