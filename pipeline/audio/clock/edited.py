"""A track's own sound as its edit list plays it: what is left out, and where nothing is to be played."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from pipeline.audio.clock.placement import Piece
from pipeline.audio.clock.stream_clock import Leap
from pipeline.audio.mp4.edit_list import Edit

_SAMPLE_BYTES = 2


class Edited:
    """Takes samples at their places in the track, which go forward; all that is meant has a place on the clock of the recording."""

    def __init__(self, edits: Sequence[Edit], rate: int) -> None:
        self._edits, self._rate = edits, rate

    def all_played(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """What is played of them, and when."""
        return (played for at, pcm in pieces for played in self._played(at, pcm))

    def _played(self, at: int, pcm: bytes) -> Iterator[Piece]:
        for edit in self._edits:
            begin = round(edit.media * self._rate)
            first = max(at, begin)
            last = min(at + len(pcm) // _SAMPLE_BYTES, begin + (edit.end - edit.start) * self._rate)
            if first < last:
                here = pcm[_SAMPLE_BYTES * (first - at) : _SAMPLE_BYTES * round(last - at)]
                yield round(edit.start * self._rate) + first - begin, here

    def pauses(self, until: int) -> list[Leap]:
        """Where nothing is to be played, up to there."""
        stretches = [(before.end, after.start) for before, after in pairwise((Edit(0, 0, 0), *self._edits))]
        pauses = [Leap(round(start * self._rate), round(end * self._rate), damaged=False) for start, end in stretches]
        return [pause for pause in pauses if pause.start < pause.end <= until]

    def moved(self, leaps: Sequence[Leap]) -> list[Leap]:
        """Those of the track, on the clock of the recording."""
        found = []
        for leap in leaps:
            playing = [edit for edit in self._edits if edit.media * self._rate <= leap.start]
            by = round((playing[-1].start - playing[-1].media) * self._rate) if playing else 0
            found.append(replace(leap, start=leap.start + by, end=leap.end + by))
        return found
