"""Samples at their places: what lies before zero is dropped, a short hole is filled with silence, a long one stays a number."""

from __future__ import annotations

from collections.abc import Iterator

Piece = tuple[int, bytes]  # place on the clock, in samples; mono s16le that begins there

SHORTEST_HOLE = 1.0  # seconds; what is shorter is a pause like any other to whoever listens, and to whoever pays
_SAMPLE_BYTES = 2


class Placement:
    """Takes the samples of one recording in the order of time. `end` is where the clock stands behind the last of them."""

    def __init__(self, rate: int, start: int = 0) -> None:
        self.end = start
        self._start = start
        self._shortest = round(SHORTEST_HOLE * rate)

    def put(self, at: int, pcm: bytes) -> Iterator[Piece]:
        """The next samples, and where they want to be."""
        early = max(0, self._start - at)
        pcm, at = pcm[_SAMPLE_BYTES * early :], max(at, self.end)
        if not pcm:
            return
        if 0 < at - self.end < self._shortest:
            yield self.end, bytes(_SAMPLE_BYTES * (at - self.end))
        self.end = at + len(pcm) // _SAMPLE_BYTES
        yield at, pcm
