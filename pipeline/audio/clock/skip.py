"""How far into a recording decoding begins, so that what comes out is to the sample what a decoding of all of it brings there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pipeline.audio.clock.mixdown import WINDOW

PREROLL = 2.0  # seconds that a decoder is given before the first sample that is taken: bits kept over, windows
SETTLING = 10.0  # seconds that are decoded before what was asked for: which channel of two is upside down has been decided by then
_LEAST = 0.5  # seconds of PREROLL that there must be
_ROUNDED = 0.002  # seconds that a stamp may be off where stamps are rounded to milliseconds


@dataclass(frozen=True)
class Skip:
    """`passed` samples of the output are left out, `before` of the input. The first that is taken has the stamp `begins`, give or
    take `slack`; `trim` tells ffmpeg's atrim which it is. `rate`: of the input."""

    passed: int
    before: int
    begins: float
    trim: str
    rate: int
    slack: float

    @property
    def seek(self) -> float:
        """Where ffmpeg is sent, in seconds by the stream's stamps."""
        return self.begins - PREROLL

    def begins_at(self, stamp: float) -> bool:
        """Whether a stamp in seconds is that of the first sample."""
        return math.isfinite(stamp) and abs(stamp - self.begins) < self.slack

    def from_landing(self, stamp: float, before: int) -> Skip | None:
        """The same where stamps are rounded: ffmpeg begins at `stamp`, and so many samples of the input come before it."""
        left = self.before - before
        if left < _LEAST * self.rate:
            return None
        return replace(self, begins=stamp + left / self.rate, trim=f"start_sample={left}", slack=_ROUNDED)


def skip_before(place: int, *, stamp: float, rate: int, made: int) -> Skip | None:
    """To before `place`, in samples of the output, `made` a second; None where it is too near. `stamp` is that of the first sample
    of all, in seconds, `rate` that of the input.

    Resampling repeats its phases after some samples, and a mix is made window by window: what is left out is a multiple of both.
    """
    common = math.gcd(rate, made)
    unit = math.lcm(made // common, round(made * WINDOW))
    passed = (place - round(SETTLING * made)) // unit * unit
    if passed <= PREROLL * made:
        return None
    before = passed * rate // made
    first = round(stamp * rate) + before
    return Skip(passed, before, first / rate, f"start_pts={first}", rate, 0.5 / rate)
