"""How far into a recording decoding begins, so that what comes out is to the sample what a decoding of all of it brings there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.audio.access.entry import Entry
from pipeline.audio.clock.mixdown import WINDOW

PREROLL = 2.0  # seconds that a decoder is given before the first sample that is taken: bits kept over, windows
SETTLING = 10.0  # seconds that are decoded before what was asked for: which channel of two is upside down has been decided by then


@dataclass(frozen=True)
class Skip:
    """`passed` samples of the output are left out, `before` of the input, `rate` a second. The first that is taken has the stamp
    `stamp`, in samples of the input."""

    passed: int
    before: int
    stamp: int
    rate: int

    @property
    def latest(self) -> int:
        """The input sample at which, or before, a decoder has to begin."""
        return self.before - round(PREROLL * self.rate)

    @property
    def seek(self) -> float:
        """Where ffmpeg is sent, in seconds by the stream's stamps."""
        return self.stamp / self.rate - PREROLL

    def trim(self, entry: Entry | None) -> str:
        """Tells ffmpeg's atrim which sample is the first that is taken, when it begins at that entry or has been sent somewhere."""
        if entry is None or entry.before is None:
            return f"start_pts={self.stamp}"
        return f"start_sample={self.before - entry.before}"

    def begins_at(self, stamp: float, slack: float) -> bool:
        """Whether a stamp in seconds is that of the first sample, give or take `slack` seconds."""
        return math.isfinite(stamp) and abs(stamp - self.stamp / self.rate) < slack


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
    return Skip(passed, before, round(stamp * rate) + before, rate)
