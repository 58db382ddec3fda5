"""Linear samples out of which bytes are missing that are no whole ones, as a bad copy leaves them: from there on each is read from
the middle of one to the middle of the next, which is noise.

How many are missing is what the file says of its length; where, the bytes tell, of which each changes there as another did before.
Only that is believed, never how a sound sounds: of a file that was merely cut off nothing is found, nor where too little is heard
on either side.
"""

from __future__ import annotations

import numpy as np

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.table import Found
from pipeline.audio.linear.byte_changes import FRAMES, Look, Scores, agree, are_alike, byte_changes, look
from pipeline.audio.linear.layout import LinearSamples, linear_samples

Missing = tuple[int, int]  # before which byte of the file, and how many

_CLOSE, _MOST_LOOKS = 2**20, 4  # bytes in which every frame is looked at, and looks until they are so few


def slipped_samples(read: Read, found: Found, size: int) -> Missing | None:
    """Of the file of `size` bytes, if it is one that slips at one place. None for all others. Raises what `read` does alone."""
    sound = linear_samples(read, found, size)
    missing = max(sound.end, sound.file_end) - size if sound else 0
    if sound is None or missing <= 0 or not missing % sound.width or sound.end - missing <= sound.start:
        return None
    place = _place(read, sound, missing % sound.width, sound.end - missing)
    return None if place is None else (place, missing)


def _place(read: Read, sound: LinearSamples, slip: int, end: int) -> int | None:
    """Before which byte, of those up to `end`, so many are missing besides whole samples."""
    seen = look(read, sound, sound.start, end)
    split = _split(seen.changes, slip)
    before, behind = seen.changes[:split], np.roll(seen.changes[split:], slip, axis=1)
    usual = before.sum(axis=0) + behind.sum(axis=0)
    weights: Scores = (
        np.roll(usual, -slip) - usual
    )  # times changes they are less than zero before the place, and more behind it
    scores = seen.changes @ weights
    certain = agree(-scores[:split]) and agree(scores[split:])
    if not (certain and are_alike(before, behind, range(-slip, 1 - slip))):
        return None
    first, last = _near(read, sound, weights, _around(seen, split, sound))
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
        stretch = _around(seen, split, sound)
    return stretch


def _around(seen: Look, split: int, sound: LinearSamples) -> tuple[int, int]:
    """From the beginning of the window before that one to its end."""
    return int(seen.places[split - 1]), int(seen.places[split]) + FRAMES * sound.frame


def _split(changes: Scores, slip: int) -> int:
    """The first window behind the place: where those behind it, turned back, are most like those before."""
    unlike = changes - changes.mean(axis=1, keepdims=True)
    before = np.concatenate((np.zeros((1, unlike.shape[1])), np.cumsum(unlike, axis=0)))
    behind = np.roll(before[-1] - before, slip, axis=1)
    return int(np.square(before + behind).sum(axis=1).argmax())
