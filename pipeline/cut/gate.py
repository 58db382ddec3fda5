"""What of a chunk's sound is put to a provider. The gate may save, it may not decide.

A word that is kept from a provider is lost to its owner, a call in vain costs a fraction of a cent. So silence and steady noise are
left out and nothing else: a chunk of them whole, the ends of any chunk up to its sound. Where the detector finds enough speech, its
ends are where the sound is; where it finds too little, whatever is not steady is sent, and marked as doubtful by the cutter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.cut.steadiness import changing
from pipeline.cut.vad import FRAME, INAUDIBLE, Frames
from pipeline.transcript import SAMPLE_RATE

MARGIN = round(0.4 * SAMPLE_RATE)  # left before and after the sound of a chunk
_ALONE = SAMPLE_RATE  # the least of a whole recording that can be proven steady: a vowel lasts half a second
_BESIDE = SAMPLE_RATE // 4  # the same beside other sound of a recording: a word there would begin or end

Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ChunkSound:
    """What is known of a chunk: s16le from the sample `start` on, and the frames from the sample `origin` on."""

    pcm: bytes
    start: int
    frames: Frames
    origin: int
    whole: bool  # whether it is all that there is

    def worth_hearing(self, audible: list[Stretch], *, sure: bool, free: tuple[bool, bool]) -> Stretch | None:
        """From where to where; None where there is nothing but silence or steady noise.

        `audible`: where the detector hears something, `sure` if that is enough. Ends that are not `free` stay as they are.
        """
        first, last = self.start, self.start + len(self.pcm) // 2
        if sure:
            found = self._changing(first, audible[0][0] - MARGIN) if free[0] else []
            found += self._changing(audible[-1][1] + MARGIN, last) if free[1] else []
        else:
            found = self._changing(first, last)
        if not sure and not found:
            return None
        found += [*audible[:1], *audible[-1:]]
        start, end = min(start for start, _ in found) - MARGIN, max(end for _, end in found) + MARGIN
        return max(start, first) if free[0] else first, min(end, last) if free[1] else last

    def unless_digital_silence(self) -> Stretch | None:
        """All of it, or nothing where there is not a single sample."""
        return (self.start, self.start + len(self.pcm) // 2) if np.frombuffer(self.pcm, "u1").any() else None

    def between(self, first: int, last: int) -> bytes:
        """These samples."""
        return self.pcm[2 * (first - self.start) : 2 * (last - self.start)]

    def left_out(self, own: Stretch, kept: Stretch | None) -> Iterator[tuple[int, int, str]]:
        """What of the chunk's own sound is not sent, each stretch with the reason: "silence" or "steady"."""
        first, last = kept or (own[1], own[1])
        for start, end in ((own[0], first), (last, own[1])):
            if start < end:
                yield start, end, "silence" if self._silent(start, end) else "steady"

    def _changing(self, first: int, last: int) -> list[Stretch]:
        if last <= first or self._silent(first, last):
            return []
        stretches = changing(self.between(first, last), least=_ALONE if self.whole else _BESIDE)
        return [(first + start, first + end) for start, end in stretches]

    def _silent(self, first: int, last: int) -> bool:
        energy = self.frames.energy[(first - self.origin) // FRAME : -(-(last - self.origin) // FRAME)]
        return bool(np.all(energy < INAUDIBLE))
