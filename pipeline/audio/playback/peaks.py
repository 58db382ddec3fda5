"""How loud a sound is along its clock, for players to draw: gathered while it passes by, in constant memory.

A point is the lowest and the highest sample of a stretch. A sound begins with stretches of 10 ms; whenever there are too many of
them, two become one. Where nothing passes by (a hole, what lies outside the part that is heard) both are 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.transcript import SAMPLE_RATE

MOST_POINTS = 65_536
_PER_SECOND = 100  # points, at first
_HEAD = struct.Struct("<4sIIQ")  # mark, samples per second, samples per point, samples of the whole clock
_MARK = b"peak"
_BITS = 16


class Peaks:
    """Takes mono s16le samples with their places, in any order and more than once (each channel of a recording by itself)."""

    def __init__(self, sample_rate: int = SAMPLE_RATE) -> None:
        self._rate, self._width, self._end = sample_rate, sample_rate // _PER_SECOND, 0
        self._low, self._high = np.zeros((2, MOST_POINTS), np.int16)

    def add(self, at: int, pcm: bytes) -> None:
        """Whole samples, the first of which is the sample `at` of the clock."""
        samples = np.frombuffer(pcm, "<i2")
        if not len(samples):
            return
        self._end = max(self._end, at + len(samples))
        while self._end > self._width * MOST_POINTS:
            self._coarsen()
        first, last = at // self._width, (at + len(samples) - 1) // self._width + 1
        starts = np.maximum(np.arange(first, last) * self._width - at, 0)
        low, high = self._low[first:last], self._high[first:last]
        np.minimum(low, np.minimum.reduceat(samples, starts), out=low)
        np.maximum(high, np.maximum.reduceat(samples, starts), out=high)

    def to_bytes(self) -> bytes:
        """The stored form."""
        count = -(-self._end // self._width)
        points = np.stack((self._low[:count], self._high[:count]), axis=1)
        return _HEAD.pack(_MARK, self._rate, self._width, self._end) + points.astype("<i2").tobytes()

    def _coarsen(self) -> None:
        half = MOST_POINTS // 2
        for points, merge in ((self._low, np.minimum), (self._high, np.maximum)):
            points[:half] = merge(points[::2], points[1::2])
            points[half:] = 0
        self._width *= 2


@dataclass(frozen=True)
class Drawn:
    """Points as they are to be drawn: each the lowest and the highest of `samples_per_point` samples."""

    sample_rate: int
    samples_per_point: int
    samples: int
    points: NDArray[np.int16]  # (n, 2)

    def as_dict(self) -> dict[str, Any]:
        """The members of audiowaveform's JSON, version 2, and the length in seconds."""
        return {
            "version": 2,
            "channels": 1,
            "sample_rate": self.sample_rate,
            "samples_per_pixel": self.samples_per_point,
            "bits": _BITS,
            "length": len(self.points),
            "duration": round(self.samples / self.sample_rate, 3),
            "data": self.points.ravel().tolist(),
        }


def peaks_from_bytes(data: bytes, most: int = MOST_POINTS) -> Drawn:
    """What `Peaks.to_bytes` wrote, as at most so many points. Raises ValueError on anything else."""
    if data[: len(_MARK)] != _MARK:
        raise ValueError("not peaks")
    _, rate, width, samples = _HEAD.unpack_from(data)
    points = np.frombuffer(data, "<i2", offset=_HEAD.size).reshape(-1, 2)
    together = max(1, -(-len(points) // most))
    if together > 1:
        padded = np.zeros((-(-len(points) // together) * together, 2), np.int16)
        padded[: len(points)] = points
        groups = padded.reshape(-1, together, 2)
        points = np.stack((groups[:, :, 0].min(axis=1), groups[:, :, 1].max(axis=1)), axis=1)
    return Drawn(rate, width * together, samples, points)
