"""Whose windows are whose: vectors of unit length into a centre for each speaker.

Windows of one person are alike by some .4 to .8, depending on the microphone and the room, and by the mean of those of two persons
little. So likenesses are measured by what two neighbouring windows of the recording have in common. Average linkage over sums is
exact, so it works in blocks, then over the blocks' clusters: memory stays small, whatever the recording's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count as counting

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Sizes = NDArray[np.float64]
Labels = NDArray[np.intp]

_USUAL, _PRIOR, _MOST_ALIKE = 0.55, 8, 0.60  # likeness of neighbours, worth so many pairs; a studio is not the measure
_SAME = 0.62  # of that likeness: clusters that are closer are one speaker
_SAME_IN_BLOCK = 0.75  # likewise within a block, which is small
_RAISED = (0.62, 0.66, 0.70, 0.75, 0.80, 0.86, 0.92, 1.0, 1.1, 1.25)  # likewise, for who knows how many there are
_ONE_VOICE = 0.60  # likeness of two centres of the same speaker
_FEWEST, _SHARE = 4, 0.005  # windows that a speaker has at least, and of all windows
_BLOCK, _AT_ONCE = 400, 1200  # vectors that are compared with one another
_ROUNDS = 3


def likeness(vectors: Vectors, places: Sequence[tuple[int, int]]) -> float:
    """How alike two windows of one speaker are in this recording, by those that follow one another without overlap."""
    pairs = [
        float(vectors[at] @ vectors[at + 2])
        for at in range(len(places) - 2)
        if places[at][1] <= places[at + 2][0] <= places[at + 1][1] and places[at + 1][0] <= places[at][1]
    ]
    upper = sorted(pairs)[len(pairs) // 4 :]  # the lowest quarter may be changes of speaker
    seen = float(np.median(upper)) if upper else _USUAL
    return min((len(upper) * seen + _PRIOR * _USUAL) / (len(upper) + _PRIOR), _MOST_ALIKE)


def centres(vectors: Vectors, alike: float, count: int | None = None) -> Vectors:
    """A row of unit length for each speaker; `count`: so many there are. At least one where there is any window."""
    if not len(vectors) or count == 1:
        return _units(vectors.sum(axis=0, keepdims=True)) if len(vectors) else vectors
    return _counted(vectors, alike, count) if count else _found(vectors, alike)


def _found(vectors: Vectors, alike: float) -> Vectors:
    least = max(_FEWEST, round(_SHARE * len(vectors)))
    labels = _grouped(vectors, _SAME * alike, _SAME_IN_BLOCK * alike)
    for _ in range(_ROUNDS):
        sums = _large(vectors, labels, least)
        while len(sums) > 1 and (closest := _closest(_units(sums)))[0] > _ONE_VOICE:
            sums = _together(sums, closest[1])
        labels = _nearest(vectors, _units(sums))
    return _units(_large(vectors, labels, least))


def _counted(vectors: Vectors, alike: float, count: int) -> Vectors:
    """By the loosest measure that finds enough of them, else by the one that finds most."""
    best = vectors.sum(axis=0, keepdims=True)
    for limit in _RAISED:
        labels = _grouped(vectors, limit * alike, max(limit, _SAME_IN_BLOCK) * alike)
        sums = _large(vectors, labels, _FEWEST)
        if len(sums) > len(best):
            best = sums
        if len(best) >= count:
            break
    while len(best) > count:
        best = _together(best, _closest(_units(best))[1])
    return _units(_sums(vectors, _nearest(vectors, _units(best)), len(best)))


def _grouped(vectors: Vectors, limit: float, in_block: float) -> Labels:
    """A cluster's number for each vector; below 0 for those that are left out."""
    labels = np.arange(len(vectors))
    sums, sizes = vectors, np.ones(len(vectors))
    while len(sums) > _BLOCK:
        before = len(sums)
        blocks = [slice(at, at + _BLOCK) for at in range(0, before, _BLOCK)]
        merged = np.concatenate([block.start + _linked(sums[block], sizes[block], in_block) for block in blocks])
        labels, sums, sizes = _renumbered(labels, merged, sums, sizes)
        if len(sums) > before * 9 // 10:
            break
    if len(sums) > _AT_ONCE:
        largest = np.sort(np.argsort(-sizes, kind="stable")[:_AT_ONCE])
        numbers = np.full(len(sums), -1)
        numbers[largest] = np.arange(len(largest))
        labels, sums, sizes = np.where(labels < 0, -1, numbers[labels]), sums[largest], sizes[largest]
    merged = _linked(sums, sizes, limit)
    return np.where(labels < 0, -1, merged[labels])


def _renumbered(labels: Labels, merged: Labels, sums: Vectors, sizes: Sizes) -> tuple[Labels, Vectors, Sizes]:
    names, numbers = np.unique(merged, return_inverse=True)
    return numbers[labels], _sums(sums, numbers, len(names)), np.bincount(numbers, sizes).astype(np.float64)


def _linked(vectors: Vectors, counts: Sizes, limit: float) -> Labels:
    """Average linkage: the two clusters with the highest mean likeness become one, until none is above the limit."""
    sums, sizes, labels = vectors.astype(np.float64), counts.copy(), np.arange(len(vectors))
    alike = sums @ sums.T / np.outer(sizes, sizes)
    np.fill_diagonal(alike, -np.inf)
    gone = np.zeros(len(sums), bool)
    for _ in counting():
        one, other = divmod(int(np.argmax(alike)), len(sums)) if len(sums) else (0, 0)
        if one == other or alike[one, other] < limit:
            return labels
        sums[one] += sums[other]
        sizes[one] += sizes[other]
        gone[other] = True
        labels[labels == other] = one
        row = np.where(gone, -np.inf, sums @ sums[one] / (sizes * sizes[one]))
        row[one] = -np.inf
        alike[one, :] = alike[:, one] = row
        alike[other, :] = alike[:, other] = -np.inf
    raise AssertionError("unreachable: each round leaves one cluster less")


def _large(vectors: Vectors, labels: Labels, least: int) -> Vectors:
    """The sums of the clusters that are large enough; of the largest one, where none is."""
    names, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    kept = np.flatnonzero((sizes >= least) & (names >= 0))
    kept = kept if len(kept) else np.argmax(np.where(names >= 0, sizes, -1), keepdims=True)
    return _sums(vectors, numbers, len(names))[kept]


def _sums(vectors: Vectors, labels: Labels, count: int) -> Vectors:
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    return sums


def _closest(units: Vectors) -> tuple[float, tuple[int, int]]:
    """The highest likeness of two, and which these are."""
    alike = units @ units.T
    np.fill_diagonal(alike, -np.inf)
    one, other = divmod(int(np.argmax(alike)), len(units))
    return float(alike[one, other]), (one, other)


def _together(sums: Vectors, pair: tuple[int, int]) -> Vectors:
    merged = sums.copy()
    merged[pair[0]] += merged[pair[1]]
    return np.delete(merged, pair[1], axis=0)


def _nearest(vectors: Vectors, units: Vectors) -> Labels:
    return np.asarray(np.argmax(vectors @ units.T, axis=1))


def _units(sums: Vectors) -> Vectors:
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0))
