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
        while at < len(places) and places[at][1] <= start:
            at += 1
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
        first, last = (start - stretch[0]) // FRAME, -(-(end - stretch[0]) // FRAME)
        inside = np.arange(max(0, first), min(count, last))
        near = (1.0 - 2 * np.abs(inside + 0.5 - (first + last) / 2) / (last - first) + 1e-3)[:, None]
        sums[inside] += near * row
        weights[inside] += near
    known = np.flatnonzero(weights[:, 0])
    nearest = known[np.clip(np.searchsorted(known, np.arange(count)), 0, len(known) - 1)]
    return np.asarray((sums / np.maximum(weights, 1e-9))[nearest])


def _course(scores: Scores) -> NDArray[np.intp]:
    """The speaker of each frame: the likeliest path, where a change has its price.

    A run of frames that are all most like one speaker, and by more than two changes cost, is his on every such path: only what is
    between such runs needs to be looked at frame by frame.
    """
    path = np.asarray(np.argmax(scores, axis=1))
    starts = np.concatenate(([0], np.flatnonzero(np.diff(path)) + 1))
    if len(starts) == 1:
        return path
    best, next_best = np.partition(scores, -2, axis=1)[:, :-3:-1].T
    lengths = np.diff(np.append(starts, len(path)))
    sure = np.repeat(np.add.reduceat(best - next_best, starts) > 2 * _CHANGE, lengths)
    for first, last in _runs(~sure):
        before, behind = max(0, first - 1), min(len(path), last + 1)
        part = scores[before:behind].copy()
        for at in {before, behind - 1} - set(range(first, last)):  # the neighbours are known
            part[at - before] = np.where(np.arange(part.shape[1]) == path[at], 0.0, -np.inf)
        path[before:behind] = _viterbi(part)
    return path


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where it is so, [from, to)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return ((int(first), int(last)) for first, last in edges.reshape(-1, 2))


def _viterbi(scores: Scores) -> NDArray[np.intp]:
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
