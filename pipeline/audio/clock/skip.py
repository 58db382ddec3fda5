"""How far into a recording decoding begins, so that what comes out is to the sample what a decoding of all of it brings there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.audio.clock.mixdown import WINDOW

PREROLL = (
    2.0  # seconds that a decoder is given before the first sample that is taken: bits kept over, windows, a finer band
)
SETTLING = 10.0  # seconds that are decoded before what was asked for: which channel of two is upside down has been decided by then


@dataclass(frozen=True)
class Skip:
    """`passed` samples of the output are left out; the first that is made is of the input sample that has the number `first` by the
    stream's stamps, `rate` of them a second."""

    passed: int
    first: int
    rate: int

    @property
    def seek(self) -> float:
        """Where ffmpeg is sent, in seconds by the stream's stamps."""
        return self.first / self.rate - PREROLL

    def begins_at(self, stamp: float) -> bool:
        """Whether a stamp in seconds is that of the first sample."""
        return math.isfinite(stamp) and round(stamp * self.rate) == self.first


def skip_before(place: int, *, stamp: float, rate: int, made: int) -> Skip | None:
    """To before `place`, in samples of the output, `made` a second; None where it is too near. `stamp` is that of the first sample
    of all, in seconds, `rate` that of the input.

    Resampling repeats its phases after some samples, and a mix is made window by window: what is left out is a multiple of both.
    """
    common = math.gcd(rate, made)
    unit = math.lcm(made // common, round(made * WINDOW))
    passed = (place - round(SETTLING * made)) // unit * unit
    return Skip(passed, round(stamp * rate) + passed * rate // made, rate) if passed > PREROLL * made else None
