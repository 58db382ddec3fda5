"""Samples of one byte, of 8 bits or by the laws of telephony: whether what follows them in a file is sound as they are.

No byte of theirs stands beside another by which it could be told. But the upper bit is the sign in all of their laws (ITU-T G.711;
of WAV's samples, which count from 128, its opposite), and a sound keeps it, or turns it, more often than chance would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.chunks import Read
from pipeline.audio.linear.byte_changes import FEWEST, FRAMES, places_in
from pipeline.audio.linear.layout import LinearSamples

_SIGN = 7  # the bit
_LOUD, _AS_LOUD = 12, 0.5  # different values in a window in which something is heard; a share of those of the loudest
_CHANCE, _FAR = (
    0.5,
    0.1,
)  # of the signs that follow each other differ; six times as far as a window of chance may be from that
_LEAST_SHARE = 0.2  # of either sign
_MOSTLY = 0.65  # of the loudest windows are so: hisses are not, and text of more than a byte a letter is less often


def is_sound_on_both_sides(read: Read, sound: LinearSamples, place: int, end: int) -> bool:
    """Of samples of one byte, before the place and from there to `end`; where too little is heard before it, from there alone.
    Text, what is packed and noise are none."""
    return _is_sound(read, sound, place, end) is True and _is_sound(read, sound, sound.start, place) is not False


def _is_sound(read: Read, sound: LinearSamples, start: int, end: int) -> bool | None:
    """None where too little is heard to tell."""
    windows = (read(place, FRAMES * sound.frame) for place in places_in(sound, start, end))
    samples = [np.frombuffer(data, np.uint8)[:: sound.frame] for data in windows]
    loud = [len(np.unique(one)) for one in samples]
    least = max(_LOUD, _AS_LOUD * max(loud, default=0))
    lively = [_keeps_its_sign(one) for one, values in zip(samples, loud, strict=True) if values >= least]
    return None if len(lively) < FEWEST else float(np.mean(lively)) >= _MOSTLY


def _keeps_its_sign(samples: NDArray[np.uint8]) -> bool:
    signs = samples >> _SIGN
    changes = float((signs[1:] != signs[:-1]).mean())
    return abs(changes - _CHANCE) > _FAR and _LEAST_SHARE <= float(signs.mean()) <= 1 - _LEAST_SHARE
