"""Whose windows are whose: vectors of unit length into a centre for each speaker.

Windows of one person are alike by some .4 to .8, depending on the microphone and the room, and by the mean of those of two persons
little. So likenesses are measured by what two neighbouring windows of the recording have in common.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.speakers.linkage import Labels, Sizes, Vectors, grouped, nearest, normalized, summed

_USUAL, _PRIOR, _MOST_ALIKE = 0.55, 8, 0.60  # likeness of neighbours, worth so many pairs; a studio is not the measure
_SAME = 0.65  # of that likeness: clusters that are closer are one speaker
_SAME_IN_BLOCK = 0.75  # likewise within a block, which is small
_RAISED = (0.62, 0.66, 0.70, 0.75, 0.80, 0.86, 0.92, 1.0, 1.1, 1.25)  # likewise, for who knows how many there are
_ONE_VOICE = 0.65  # likeness of two centres of the same speaker
_LITTLE, _ROUGHLY_ONE = 8, 0.40  # of fewer windows a centre is a rough one, and so much alike is the same speaker
FEWEST, _SHARE = 4, 0.005  # windows that a speaker has at least, and of all windows
_ROUNDS = 3
_LOOKED_AT = 1000  # windows of a speaker at least, to see whether he is two


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
        return normalized(vectors.sum(axis=0, keepdims=True)) if len(vectors) else vectors
    return _counted(vectors, alike, count) if count else _found(vectors, alike)


def _found(vectors: Vectors, alike: float, least: int | None = None) -> Vectors:
    least = least or max(FEWEST, round(_SHARE * len(vectors)))
    labels = grouped(vectors, _SAME * alike, _SAME_IN_BLOCK * alike)
    for _ in range(_ROUNDS):
        labels = nearest(vectors, normalized(_distinct(*_large(vectors, labels, least))))
    return normalized(_large(vectors, labels, least)[0])


def _distinct(sums: Vectors, sizes: Sizes) -> Vectors:
    """The sums of clusters, those that are one speaker's put together: what few windows say must be clearer."""
    while len(sums) > 1:
        alike = normalized(sums) @ normalized(sums).T
        limits = np.where(np.minimum.outer(sizes, sizes) < _LITTLE, _ROUGHLY_ONE, _ONE_VOICE)
        over = np.where(np.eye(len(sums), dtype=bool), -np.inf, alike - limits)
        one, other = divmod(int(np.argmax(over)), len(sums))
        if over[one, other] <= 0:
            break
        sums, sizes = (
            _together(sums, (one, other)),
            np.delete(sizes + (np.arange(len(sizes)) == one) * sizes[other], other),
        )
    return sums


def _counted(vectors: Vectors, alike: float, count: int) -> Vectors:
    """Where fewer are found, those of whom little is heard count, too; then clusters that are most like two are divided."""
    units = _found(vectors, alike)
    if len(units) < count:
        units = _found(vectors, alike, FEWEST)
    sums = _around(vectors, units)
    while len(sums) < count and len(divided := _divided(vectors, sums, alike)) > len(sums):
        sums = _around(vectors, normalized(divided))
    while len(sums) > count:
        sums = _together(sums, _closest(normalized(sums))[1])
    return normalized(_around(vectors, normalized(sums)))


def _divided(vectors: Vectors, sums: Vectors, alike: float) -> Vectors:
    """With the first cluster that falls apart as the limit is raised in its parts; the same where none does."""
    labels = nearest(vectors, normalized(sums))
    for least in range(FEWEST, 0, -1):
        for limit in _RAISED:
            for at in range(len(sums)):
                mine = vectors[labels == at]
                mine = mine[:: max(1, len(mine) // _LOOKED_AT)]
                if len(mine) < 2 * least:
                    continue
                parts, _ = _large(mine, grouped(mine, limit * alike, max(limit, _SAME_IN_BLOCK) * alike), least)
                if len(parts) > 1:
                    return np.concatenate((np.delete(sums, at, axis=0), parts))
    return sums


def _around(vectors: Vectors, units: Vectors) -> Vectors:
    """The sums of the vectors that are nearest to each; itself, where none is."""
    labels = nearest(vectors, units)
    sums = summed(vectors, labels, len(units))
    return np.where(np.bincount(labels, minlength=len(units))[:, None] > 0, sums, units)


def _large(vectors: Vectors, labels: Labels, least: int) -> tuple[Vectors, Sizes]:
    """The sums of the clusters that are large enough, and their sizes; of the largest one, where none is."""
    names, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    kept = np.flatnonzero((sizes >= least) & (names >= 0))
    kept = kept if len(kept) else np.argmax(np.where(names >= 0, sizes, -1), keepdims=True)
    return summed(vectors, numbers, len(names))[kept], sizes[kept].astype(np.float64)


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
