"""What was counted of a file: samples, and how loud its frames are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RATES = range(4_000, 384_001)  # Hz; others are no recorder's
MOST_CHANNELS = 8
_SHORTEST_MS = 250  # less shows no rise and fall: it is decoded, and pipeline.cut.gate tells whether it is silence
_FEWEST = 8  # levels that tell anything
_LOW, _HIGH = 0.1, 0.9  # percentiles of the levels that are compared
# dB between them. Silence has 0, steady noise stays below 6 where a codec spends bytes by need (FLAC, Opus, VBR) and in WAV; a
# constant bit rate in mp3 and AAC moves the gain without need, so that noise may pass there. Speech has 10 to 60.
LIVELY = 9.0
ENOUGH_LEVELS = 60  # are looked at, evenly, however long the file is


@dataclass(frozen=True, slots=True)
class Extent:
    """`samples` at `rate` Hz. `levels` are in dB on any scale, one for each frame of the codec or for some of them.

    `plain`: its headers prove that whoever reads the file hears the same. It is one track of one format from the first byte to the
    last, without a gap or a piece that is no frame, and of one channel, or of two that do not cancel each other when mixed.
    """

    samples: int
    rate: int
    levels: Sequence[float] = ()
    plain: bool = False

    @property
    def ms(self) -> int:
        """To the nearest millisecond."""
        return (2000 * self.samples + self.rate) // (2 * self.rate)

    @property
    def plausible(self) -> bool:
        """Whether there is any sound, of a rate that is heard of."""
        return self.samples > 0 and self.rate in RATES

    @property
    def lively(self) -> bool:
        """Whether the loudness rises and falls as that of speech does: neither silence nor steady noise."""
        count = len(self.levels)
        if count < _FEWEST or self.ms < _SHORTEST_MS:
            return False
        ranked = sorted(self.levels)
        return ranked[int(_HIGH * (count - 1))] - ranked[int(_LOW * (count - 1))] >= LIVELY
