"""Where a chunk may end: the best pause in reach, or the least bad place without one.

Measured on real speech, a cut in the middle of a pause costs nothing, one in a short pause a little, one inside a word a whole
word. So the three kinds: "silence" needs no overlap, "soft" a second of it and "hard" three, out of which the stitcher picks where
to switch. "hard" is also a pause that is hardly quieter than speech: in speech without pauses, that is a vowel held softly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cut.vad import FRAME, INAUDIBLE, Frames, runs, speech
from pipeline.transcript import SAMPLE_RATE

_PAUSE = round(0.30 * SAMPLE_RATE)  # a pause between phrases
_GAP = round(0.18 * SAMPLE_RATE)  # shorter ones are often the closure of a p, t or k
_LONG = SAMPLE_RATE  # beyond a second a pause gets no better
_ONSET = SAMPLE_RATE // 2  # before the speech after a long pause, for its soft beginning
_HASTE = 0.004  # how much shorter a pause counts per sample that the chunk could still have lasted
_DEPTH = 15.0  # dB below the loud frames; in a flatter recording a pause is a guess, and is overlapped
# In dB; where it is hardly quieter than speech, it is as likely a soft vowel: as much overlap as without a pause.
_SHALLOW = 10.0
_AROUND = 2  # frames to either side of a cut
_TRUST = 0.7  # of the speech that WebRTC must have noticed before it may point out pauses
_BELOW_PEAK = 3.0  # dB; nothing louder is a pause, whatever WebRTC says


@dataclass(frozen=True, slots=True)
class Reach:
    """Between which samples a cut may fall. `soft` and `hard` are the starts and ends for those kinds of cut."""

    silence: tuple[int, int]
    soft: tuple[int, int]
    hard: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A cut: the sample and its kind."""

    at: int
    kind: str


def quiet(frames: Frames) -> NDArray[np.bool_]:
    """Frames in which nobody speaks, for the purpose of finding a pause."""
    width = frames.peak - frames.floor
    low: NDArray[np.bool_] = frames.energy < frames.floor + np.clip(0.35 * width, 2.5, 10.0)
    spoken = speech(frames)
    if spoken.any() and frames.voiced[spoken].mean() >= _TRUST:
        low |= ~frames.voiced
    return low & (frames.energy < frames.peak - _BELOW_PEAK) | (frames.energy < INAUDIBLE)


def find_cut(frames: Frames, origin: int, reach: Reach) -> Place:
    """The best place; `origin` is the sample at which the first frame begins."""
    pauses = runs(quiet(frames)) * FRAME + origin

    def best(least: int, within: tuple[int, int], depth: float) -> int | None:
        found = _candidates(pauses, least, within)
        return next((at for at in found if _deep(frames, (at - origin) // FRAME, depth)), None)

    if (at := best(_PAUSE, reach.silence, _DEPTH)) is not None:
        return Place(at, "silence")
    if (at := best(_GAP, reach.soft, _SHALLOW)) is not None:
        return Place(at, "soft")
    if (at := best(_GAP, reach.hard, 0.0)) is not None:
        return Place(at, "hard")
    return _quietest(frames, origin, reach.hard)


def _candidates(pauses: NDArray[np.intp], least: int, within: tuple[int, int]) -> list[int]:
    """Where to cut in pauses of at least this length, the best first: a long pause, and late."""
    first, last = within
    scored = []
    for start, end in pauses.tolist():
        middle = (start + end) // 2 if end - start <= _LONG else end - _ONSET
        at = min(max(middle, first), last)
        if end - start >= least and start + least // 3 <= at <= end - least // 3:
            scored.append((min(end - start, _LONG) - _HASTE * (last - at), at))
    return [at for _, at in sorted(scored, reverse=True)]


def _deep(frames: Frames, at: int, depth: float) -> bool:
    """Whether it is so many dB quieter around here than in speech: at _DEPTH, nothing can be hidden in it."""
    around = slice(max(at - _AROUND, 0), at + _AROUND + 1)
    level = frames.energy[around].max()
    return bool(level < INAUDIBLE or level < frames.peak[around].max() - depth)


def _quietest(frames: Frames, origin: int, within: tuple[int, int]) -> Place:
    """The centre of the quietest 90 ms."""
    smooth = np.convolve(10.0 ** (frames.energy / 10), np.ones(3), mode="same")
    first = min(max(-(-(within[0] - origin) // FRAME), 0), len(smooth) - 1)
    last = min(max((within[1] - origin) // FRAME, first + 1), len(smooth))
    frame = last - 1 - int(np.argmin(smooth[first:last][::-1]))  # the last one of equals
    return Place(min(max(origin + frame * FRAME + FRAME // 2, within[0]), within[1]), "hard")
