"""Phrases of one loudness, so that nobody hears where they are joined: the model says short ones softer than long ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kokoro.folder import SAMPLE_RATE

_FRAME = SAMPLE_RATE // 50  # samples
_QUIET = 0.1  # of the loudest frame; below it nothing is said
_WANTED = 0.12  # root mean square of what is said, as the model is on the whole
_MOST = 2.0  # times louder, or softer
_PEAK = 0.97


def levelled(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples of -1 to 1, as loud on average as every other phrase; never so loud that it is cut off."""
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME)
    level = np.sqrt((frames.astype(np.float64) ** 2).mean(axis=1))
    loud = level[level > _QUIET * level.max(initial=0.0)]
    if not len(loud):
        return sound
    gain = float(np.clip(_WANTED / np.sqrt((loud**2).mean()), 1 / _MOST, _MOST))
    return np.asarray(sound * min(gain, _PEAK / float(np.abs(sound).max())), np.float32)
