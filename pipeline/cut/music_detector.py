"""Music that a machine keeps time for: onsets that repeat so exactly that nobody can be speaking.

Drums and plucked notes jump in many bands, as syllables do, but they come back on the beat. A rise of the level is an onset, or one
of level and bands together: behind held chords a hi-hat hardly raises the level. Measured in windows of five seconds, mechanical
rhythm agrees with itself to 0.76 and more one beat later; speech to 0.2 to 0.5, over drums twice as loud to 0.7, as does a single
second of speech among drums. So only music without any speech is recognised, and of that only what keeps an exact beat. A digit
that a machine says every second keeps one, too: so a chunk that keeps the beat is heard like any other, and what is heard in it is
marked as doubtful.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.cut.vad import FRAME, LARGEST_RISE, Frames, joined
from pipeline.transcript import SAMPLE_RATE

_SECOND = SAMPLE_RATE / FRAME  # frames
_WINDOW, _STEP = round(5 * _SECOND), round(2.5 * _SECOND)
_LAGS = range(round(0.24 * _SECOND), round(1.05 * _SECOND))  # of a beat; a sentence played over and over returns later
_EXACT = 0.75  # agreement of every window
_AUDIBLE = 40.0  # dB below the peak that count


class MusicDetector:
    """Follows a recording chunk by chunk: a short chunk is judged together with the end of the one before."""

    def __init__(self) -> None:
        self._before: Frames | None = None

    def kept_in(self, frames: Frames) -> bool:
        """Whether all of this keeps an exact beat; False where too little is known."""
        known = frames if self._before is None or len(frames) >= _WINDOW else joined((self._before, frames))
        self._before = known[max(len(known) - _WINDOW, 0) :]
        last = len(known) - _WINDOW
        if last < 0:
            return False
        level, everything = _onsets(known)
        return all(
            max(_agreement(one[at : at + _WINDOW]) for one in (level, everything)) >= _EXACT
            for at in (*range(0, last, _STEP), last)
        )


def _onsets(frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how many dB each frame is louder: as a whole, and with its bands. Smoothed: a beat is no whole number of frames."""
    level = np.maximum(frames.energy, frames.peak - _AUDIBLE).astype(np.float64)
    rise = np.clip(np.diff(level, prepend=level[:1]), 0.0, LARGEST_RISE)
    return _smooth(rise), _smooth(rise + frames.rise)


def _smooth(onsets: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.convolve(onsets, (0.5, 1.0, 0.5), mode="same")


def _agreement(onsets: NDArray[np.float64]) -> float:
    """The best correlation of the window with itself some time later."""
    shape = onsets - onsets.mean()
    power = np.concatenate(([0.0], np.cumsum(shape**2)))
    best = 0.0
    for lag in _LAGS:
        energy = (power[-1] - power[lag]) * power[len(shape) - lag]
        if energy > 0:
            best = max(best, float(shape[:-lag] @ shape[lag:]) / energy**0.5)
    return best
