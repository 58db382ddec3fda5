"""How the bytes of linear samples change from one to the next, which tells where in a sample each stands: the upper byte of a sound
changes little, and the lowest one by anything. How loud it is, or what it is, changes nothing of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.chunks import Read
from pipeline.audio.linear.layout import LinearSamples

Scores = NDArray[np.float64]

FRAMES = 1024  # in a window
_WINDOWS = 64  # that are looked at in a stretch
_LIVELY = 4.0  # where something is heard, a byte changes by so much,
_UNLIKE = 1.5  # and by so many times as much as another
_ALIKE = 0.5  # of what two sounds differ by where one is turned
FEWEST, CERTAIN = 3, 0.9  # windows that are proof, if so many of them agree


@dataclass(frozen=True, slots=True)
class Look:
    """At a stretch of a file: where each window begins in which something is heard, and (windows, width) by how much each byte of a
    sample changes there."""

    places: NDArray[np.int64]
    changes: Scores


def look(read: Read, sound: LinearSamples, start: int, end: int) -> Look:
    """From the first byte of a frame on, at windows that are spread evenly."""
    places, changes = list[int](), list[Scores]()
    for place in places_in(sound, start, end):
        mean = byte_changes(read(place, FRAMES * sound.frame), sound).mean(axis=0)
        if mean.max() >= _LIVELY and mean.max() >= _UNLIKE * mean.min():
            places.append(place)
            changes.append(mean)
    return Look(np.array(places, np.int64), np.array(changes).reshape(-1, sound.width))


def places_in(sound: LinearSamples, start: int, end: int) -> list[int]:
    """Where each window begins."""
    frames = (end - start) // sound.frame
    spread = np.linspace(0, max(0, frames - FRAMES), min(_WINDOWS, frames // FRAMES)).astype(int)
    return [start + int(number) * sound.frame for number in spread]


def byte_changes(data: bytes, sound: LinearSamples) -> Scores:
    """(frames - 1, width): by how much each byte of a sample differs from that of the sample before, over all channels."""
    frames = np.frombuffer(data, np.uint8, len(data) // sound.frame * sound.frame).reshape(-1, sound.frame)
    around = np.diff(frames, axis=0).view(np.int8).astype(np.int16)  # from 255 to 0 it is one
    changed: Scores = np.abs(around).reshape(len(around), -1, sound.width).mean(axis=1)
    return changed


def agree(scores: Scores) -> bool:
    """Whether so many windows that it is certain say yes, by a number above zero."""
    return len(scores) >= FEWEST and float((scores > 0).mean()) >= CERTAIN


def are_alike(one: Scores, other: Scores, turns: range) -> bool:
    """Whether the changes in both are those of one sound, more so than if the other were turned by any of these. Samples of 8 bits
    in 16 look as if they were turned; but they have a byte that never changes."""
    ours, theirs = (
        np.median(one, axis=0),
        np.median(other, axis=0),
    )  # a place of which a window holds both sides is no matter
    ours, theirs = ours / np.linalg.norm(ours), theirs / np.linalg.norm(theirs)  # however loud either is
    differing = min(float(np.linalg.norm(ours - np.roll(theirs, by))) for by in turns)
    same = float(np.linalg.norm(ours - theirs)) <= _ALIKE * differing
    return same and bool(((ours == 0) == (theirs == 0)).all())
