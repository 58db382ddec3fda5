"""Linear samples out of which bytes are missing that are no whole ones, as a bad copy leaves them: from there on each is read from
the middle of one to the middle of the next, which is noise.

How many are missing is what the file says of its length; where, the bytes tell. From sample to sample the upper byte of a sound
changes little and the lowest one by anything, and behind the place each does so where another should. Only that change is believed,
never how a sound sounds: of a file that was merely cut off nothing is found, nor where too little is heard on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.linear_samples import LinearSamples, linear_samples
from pipeline.audio.containers.table import Found

Missing = tuple[int, int]  # before which byte of the file, and how many
Scores = NDArray[np.float64]

_WINDOWS, _FRAMES = 64, 1024  # that are looked at in a stretch, and in each
_CLOSE, _MOST_LOOKS = 2**20, 4  # bytes in which every frame is looked at, and looks until they are so few
_LIVELY, _UNLIKE = (
    4.0,
    1.5,
)  # a byte changes by so much, and so many times as much as another, where there is something to hear
_ALIKE = 0.5  # of the difference between both sides of the place, at most, is left when one is turned back
_FEWEST, _CERTAIN = 3, 0.9  # windows on either side, of which so many agree


@dataclass(frozen=True, slots=True)
class _Look:
    """At a stretch of the file: where each window begins in which something is heard, and by how much each byte of a sample changes
    from one to the next."""

    places: NDArray[np.int64]
    changes: Scores

    def around(self, split: int, sound: LinearSamples) -> tuple[int, int]:
        """From the beginning of the window before that one to its end."""
        return int(self.places[split - 1]), int(self.places[split]) + _FRAMES * sound.frame


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
    look = _look(read, sound, sound.start, end)
    split = _split(look.changes, slip)
    before, behind = look.changes[:split], np.roll(look.changes[split:], slip, axis=1)
    usual = before.sum(axis=0) + behind.sum(axis=0)
    weights: Scores = (
        np.roll(usual, -slip) - usual
    )  # times the changes they are less than zero before the place, and more behind it
    scores = look.changes @ weights
    if not (_agree(-scores[:split]) and _agree(scores[split:]) and _is_alike(before, behind, slip)):
        return None
    first, last = _near(read, sound, weights, look.around(split, sound))
    changes = _changes(read(first, min(last - first, _CLOSE)), sound)
    return first + (1 + int(np.cumsum(changes @ weights).argmin())) * sound.frame


def _near(read: Read, sound: LinearSamples, weights: Scores, stretch: tuple[int, int]) -> tuple[int, int]:
    """A stretch of it that can be looked at frame by frame, if anything is heard near the place."""
    for _ in range(_MOST_LOOKS):
        if stretch[1] - stretch[0] <= _CLOSE:
            break
        look = _look(read, sound, *stretch)
        split = int(np.cumsum([0.0, *(look.changes @ weights)]).argmin())
        if not 0 < split < len(look.places):
            break
        stretch = look.around(split, sound)
    return stretch


def _look(read: Read, sound: LinearSamples, start: int, end: int) -> _Look:
    """Windows are spread evenly."""
    frames, places, changes = (end - start) // sound.frame, list[int](), list[Scores]()
    for number in np.linspace(0, max(0, frames - _FRAMES), min(_WINDOWS, frames // _FRAMES)).astype(int):
        place = start + int(number) * sound.frame
        mean = _changes(read(place, _FRAMES * sound.frame), sound).mean(axis=0)
        if mean.max() >= _LIVELY and mean.max() >= _UNLIKE * mean.min():
            places.append(place)
            changes.append(mean)
    return _Look(np.array(places, np.int64), np.array(changes).reshape(-1, sound.width))


def _changes(data: bytes, sound: LinearSamples) -> Scores:
    """(frames - 1, width): by how much each byte of a sample differs from that of the sample before, over all channels."""
    frames = np.frombuffer(data, np.uint8, len(data) // sound.frame * sound.frame).reshape(-1, sound.frame)
    around = np.diff(frames, axis=0).view(np.int8).astype(np.int16)  # from 255 to 0 it is one
    changed: Scores = np.abs(around).reshape(len(around), -1, sound.width).mean(axis=1)
    return changed


def _split(changes: Scores, slip: int) -> int:
    """The first window behind the place: where those behind it, turned back, are most like those before."""
    unlike = changes - changes.mean(axis=1, keepdims=True)
    before = np.concatenate((np.zeros((1, unlike.shape[1])), np.cumsum(unlike, axis=0)))
    behind = np.roll(before[-1] - before, slip, axis=1)
    return int(np.square(before + behind).sum(axis=1).argmax())


def _is_alike(before: Scores, behind: Scores, slip: int) -> bool:
    """Whether it is one sound, which is more like itself when it is turned back. Samples of 8 bits in 16, with others behind them,
    look as if they had slipped; but they have a byte that never changes."""
    one, other = np.median(before, axis=0), np.median(behind, axis=0)  # the place itself is in one of the windows
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)  # however loud either is
    turned, as_it_is = (float(np.linalg.norm(one - there)) for there in (other, np.roll(other, -slip)))
    return turned <= _ALIKE * as_it_is and bool(((one == 0) == (other == 0)).all())


def _agree(scores: Scores) -> bool:
    return len(scores) >= _FEWEST and float((scores > 0).mean()) >= _CERTAIN
