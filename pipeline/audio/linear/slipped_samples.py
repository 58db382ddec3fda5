"""Linear samples out of which bytes are missing that are no whole ones, as a bad copy or a disk leaves them: from there on each is
read from the middle of one to the middle of the next, which is noise.

How many are missing is what the file says of its length; where, the bytes tell, of which each changes there as another did before.
Only that is believed, never how a sound sounds: of a file that was merely cut off nothing is found, nor where too little is heard
on either side of a place. Of several places nobody knows how much is missing at each, unless it can be as much at all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.table import Found
from pipeline.audio.linear.byte_changes import CERTAIN, FEWEST, FRAMES, Look, Scores, are_alike, byte_changes, look
from pipeline.audio.linear.layout import LinearSamples, linear_samples

Missing = tuple[int, int]  # before which byte of the file, and how many

_CLOSE, _MOST_LOOKS = 2**20, 4  # bytes in which every frame is looked at, and looks until they are so few


def slipped_samples(read: Read, found: Found, size: int) -> tuple[Missing, ...]:
    """Of the file of `size` bytes, in their order; what is missing besides is missing somewhere. Raises what `read` does alone."""
    sound = linear_samples(read, found, size)
    missing = max(sound.end, sound.file_end) - size if sound else 0
    if sound is None or missing <= 0 or sound.end - missing <= sound.start or not _may_slip(missing, sound.width):
        return ()
    seen = look(read, sound, sound.start, sound.end - missing)
    turns, usual = _turns(seen.changes)
    runs = _runs(turns)
    if not all(_is_certain(seen, turns, *both) for both in pairwise(runs)):
        return ()
    places, slips = list[int](), list[int]()
    for before, behind in pairwise(runs):
        one, other = turns[before[0]], turns[behind[0]]
        stretch = int(seen.places[before[-1]]), int(seen.places[behind[0]]) + FRAMES * sound.frame
        places.append(_place(read, sound, np.roll(usual, -other) - np.roll(usual, -one), stretch))
        slips.append((other - one) % sound.width)
    return tuple(zip(places, _counts(slips, missing, sound.width), strict=True))


def _may_slip(missing: int, width: int) -> bool:
    """Of three bytes a sample any block of a disk is no whole number, and several may add up to one."""
    return missing % width > 0 or width % 2 > 0


def _counts(slips: Sequence[int], missing: int, width: int) -> Sequence[int]:
    """How many bytes at each place, of all that are missing; where that is not known, so many as make the samples whole again."""
    each, rest = divmod(missing, max(1, len(slips)))
    return [each] * len(slips) if not rest and all(each % width == slip for slip in slips) else slips


def _turns(changes: Scores) -> tuple[list[int], Scores]:
    """From which byte of a sample on each window is read, the first from its first; and the changes of all, turned back."""
    unlike = changes - changes.mean(axis=1, keepdims=True)
    usual, turns = np.zeros(changes.shape[1]), list[int]()
    for change in unlike:
        turns.append(int(np.argmax([change @ np.roll(usual, -by) for by in range(len(usual))])))
        usual = usual + np.roll(change, turns[-1])
    return [int(np.argmax([change @ np.roll(usual, -by) for by in range(len(usual))])) for change in unlike], usual


def _runs(turns: Sequence[int]) -> list[range]:
    """Windows of one turn, one behind the other. Few may be between them that hold both sides of a place, or tell nothing."""
    found = list[range]()
    for turn, numbers in groupby(range(len(turns)), turns.__getitem__):
        first, *others = numbers
        run = range(first, first + 1 + len(others))
        if found and turns[found[-1][0]] == turn:
            found[-1] = range(found[-1].start, run.stop)
        elif len(run) >= FEWEST:
            found.append(run)
    return found if sum(map(len, found)) >= CERTAIN * len(turns) else []


def _is_certain(seen: Look, turns: Sequence[int], before: range, behind: range) -> bool:
    slip = turns[behind[0]] - turns[before[0]]
    one, other = (np.roll(seen.changes[run.start : run.stop], turns[run[0]], axis=1) for run in (before, behind))
    agreeing = [np.mean([turns[number] == turns[run[0]] for number in run]) >= CERTAIN for run in (before, behind)]
    return all(agreeing) and are_alike(one, other, range(-slip, 1 - slip))


def _place(read: Read, sound: LinearSamples, weights: Scores, stretch: tuple[int, int]) -> int:
    """Before which byte of the stretch something is missing: the changes, times the weights, are more behind it than before."""
    first, last = _near(read, sound, weights, stretch)
    changes = byte_changes(read(first, min(last - first, _CLOSE)), sound)
    return first + (1 + int(np.cumsum(changes @ weights).argmin())) * sound.frame


def _near(read: Read, sound: LinearSamples, weights: Scores, stretch: tuple[int, int]) -> tuple[int, int]:
    """A stretch of it that can be looked at frame by frame, if anything is heard near the place."""
    for _ in range(_MOST_LOOKS):
        if stretch[1] - stretch[0] <= _CLOSE:
            break
        seen = look(read, sound, *stretch)
        split = int(np.cumsum([0.0, *(seen.changes @ weights)]).argmin())
        if not 0 < split < len(seen.places):
            break
        stretch = int(seen.places[split - 1]), int(seen.places[split]) + FRAMES * sound.frame
    return stretch
