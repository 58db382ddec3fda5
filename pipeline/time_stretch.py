"""Slower speech at the same pitch, for engines that do not go slow enough by themselves.

Waveform-similarity overlap-add (Verhelst and Roelands, 1993): overlapping windows of the sound are laid further apart, each
taken from where it best continues the one before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WINDOW_S = 0.040  # two to eight periods of a voice
_SEARCH_S = 0.012  # a little more than the longest period of a deep voice


def slower(pcm: bytes, factor: float, sample_rate: int) -> bytes:
    """s16le mono sound, `factor` times as long (1 or more)."""
    sound = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    if factor <= 1 or len(sound) < 2 * round(_WINDOW_S * sample_rate):
        return pcm
    stretched = _overlap_add(sound, factor, round(_WINDOW_S * sample_rate) // 2, round(_SEARCH_S * sample_rate))
    return np.clip(np.rint(stretched), -32768, 32767).astype("<i2").tobytes()


def _overlap_add(sound: NDArray[np.float64], factor: float, hop: int, search: int) -> NDArray[np.float64]:
    length = round(len(sound) * factor)
    padded = np.concatenate([sound, np.zeros(3 * hop + 2 * search)])
    window = np.hanning(2 * hop + 1)[:-1]
    out = np.zeros(length + 2 * hop)
    taken = 0
    for at in range(0, length, hop):
        wanted = min(round(at / factor), len(sound))
        if at:
            taken = _best_continuation(padded, taken + hop, wanted, hop, search)
        out[at : at + 2 * hop] += padded[taken : taken + 2 * hop] * window
    return out[:length]


def _best_continuation(sound: NDArray[np.float64], natural: int, wanted: int, hop: int, search: int) -> int:
    """The start near `wanted` whose first half looks most like what would have followed naturally."""
    first = max(0, wanted - search)
    nearby = sound[first : wanted + search + hop]
    likeness = np.correlate(nearby, sound[natural : natural + hop], "valid")
    power = np.concatenate([[0.0], np.cumsum(nearby**2)])
    return first + int(np.argmax(likeness / np.sqrt(power[hop:] - power[:-hop] + 1.0)))
