"""Average linkage: vectors into clusters, the two with the highest mean likeness becoming one until none is above a limit.

Over sums it is exact, so it works in blocks, then over the blocks' clusters: memory stays small, however many vectors there are.
"""

from __future__ import annotations

from itertools import count as counting

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Sizes = NDArray[np.float64]
Labels = NDArray[np.intp]

_BLOCK, _AT_ONCE = 400, 1200  # vectors that are compared with one another


def grouped(vectors: Vectors, limit: float, in_block: float) -> Labels:
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


def summed(vectors: Vectors, labels: Labels, count: int) -> Vectors:
    """The sum of each cluster, of which there are so many."""
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    return sums


def normalized(sums: Vectors) -> Vectors:
    """Each of unit length; what has none stays as it is."""
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0))


def nearest(vectors: Vectors, centres: Vectors) -> Labels:
    """The number of the centre that each vector is most like; both are of unit length."""
    return np.asarray(np.argmax(vectors @ centres.T, axis=1))


def _renumbered(labels: Labels, merged: Labels, sums: Vectors, sizes: Sizes) -> tuple[Labels, Vectors, Sizes]:
    names, numbers = np.unique(merged, return_inverse=True)
    return numbers[labels], summed(sums, numbers, len(names)), np.bincount(numbers, sizes).astype(np.float64)


def _linked(vectors: Vectors, counts: Sizes, limit: float) -> Labels:
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
