"""Who speaks when: the likeness of every 10 ms of speech to each speaker, and the likeliest course of turns through a stretch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.speakers.excerpts import Stretch
from pipeline.transcript import SAMPLE_RATE

Scores = NDArray[np.float64]
FRAME = SAMPLE_RATE // 100  # samples
_CHANGE = 4.0  # what a change of speaker costs, in frames that are wholly his
_LONGEST = 100  # frames of one piece of a turn: how sure it is may differ from second to second


class Turn(NamedTuple):
    """From `start` to `end`, in samples, it is the speaker of this number, and by so much more than any other: 0 to 1."""

    start: int
    end: int
    speaker: int
    margin: float


def turns(places: Sequence[Stretch], likeness: Scores, stretches: Sequence[Stretch]) -> Iterator[Turn]:
    """In order. `likeness`: a row for each window, a column for each speaker. Stretches without any window are left out."""
    at = 0
    for start, end in stretches:
        first = at
        while at < len(places) and places[at][0] < end:
            at += 1
        if at > first:
            yield from _within((start, end), places[first:at], likeness[first:at])


def _within(stretch: Stretch, places: Sequence[Stretch], likeness: Scores) -> Iterator[Turn]:
    scores = _frames(stretch, places, likeness)
    path = _course(scores)
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]):
        who = int(path[first])
        for at in range(first, last, _LONGEST):
            until = min(at + _LONGEST, last)
            start, end = (min(stretch[0] + frame * FRAME, stretch[1]) for frame in (at, until))
            yield Turn(start, end, who, _margin(scores[at:until], who))


def _frames(stretch: Stretch, places: Sequence[Stretch], likeness: Scores) -> Scores:
    """The mean of the windows around each frame, by how near their middles are."""
    count = max(1, -(-(stretch[1] - stretch[0]) // FRAME))
    sums, weights = np.zeros((count, likeness.shape[1])), np.zeros((count, 1))
    for (start, end), row in zip(places, likeness, strict=True):
        first, last = (start - stretch[0]) // FRAME, min(count, -(-(end - stretch[0]) // FRAME))
        middle = np.arange(first, last) + 0.5 - (first + last) / 2
        near = (1.0 - 2 * np.abs(middle) / (last - first) + 1e-3)[:, None]
        sums[first:last] += near * row
        weights[first:last] += near
    known = np.flatnonzero(weights[:, 0])
    nearest = known[np.clip(np.searchsorted(known, np.arange(count)), 0, len(known) - 1)]
    return np.asarray((sums / np.maximum(weights, 1e-9))[nearest])


def _course(scores: Scores) -> NDArray[np.intp]:
    """The speaker of each frame: Viterbi's path, where a change has its price."""
    best = np.asarray(np.argmax(scores, axis=1))
    if (best == best[0]).all():
        return best
    came, total = np.empty(scores.shape, np.intp), scores[0].copy()
    stay = np.arange(scores.shape[1])
    for at in range(1, len(scores)):
        leader = int(np.argmax(total))
        changed = total[leader] - _CHANGE
        came[at] = np.where(total >= changed, stay, leader)
        total = np.maximum(total, changed) + scores[at]
    path = np.empty(len(scores), np.intp)
    path[-1] = np.argmax(total)
    for at in range(len(scores) - 1, 0, -1):
        path[at - 1] = came[at, path[at]]
    return path


def _margin(scores: Scores, who: int) -> float:
    mean = scores.mean(axis=0)
    others = np.delete(mean, who)
    return float(np.clip(mean[who] - (others.max() if len(others) else 0.0), 0.0, 1.0))
