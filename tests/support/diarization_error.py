"""How wrong it is who speaks when: missed, false and confused time, by the best mapping of labels to speakers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

STEP = 10  # ms
COLLAR = 250  # ms on each side of where a turn of the truth begins or ends that do not count

Turns = Sequence[tuple[int, int, Hashable]]  # from, to in ms, who


@dataclass(frozen=True)
class Errors:
    """In frames of STEP; of several talks they are added up."""

    missed: int = 0
    false: int = 0
    confused: int = 0
    spoken: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.missed + other.missed,
            self.false + other.false,
            self.confused + other.confused,
            self.spoken + other.spoken,
        )

    @property
    def rate(self) -> float:
        """Percent of what is spoken."""
        return 100 * (self.missed + self.false + self.confused) / max(1, self.spoken)

    @property
    def confusion(self) -> float:
        """The same of the wrong speaker alone."""
        return 100 * self.confused / max(1, self.spoken)


def errors(truth: Turns, told: Turns, *, collar: int = COLLAR) -> Errors:
    """Of one talk. Two who speak at once count both."""
    frames = max((end for _, end, _ in (*truth, *told)), default=0) // STEP + 1
    counted = np.ones(frames, bool)
    for start, end, _ in truth:
        for edge in (start, end):
            counted[max(0, (edge - collar) // STEP) : (edge + collar) // STEP] = collar == 0
    real, found = _activity(truth, frames)[:, counted], _activity(told, frames)[:, counted]
    right = _best(real @ found.T)
    said, heard = real.sum(axis=0), found.sum(axis=0)
    both = int(np.minimum(said, heard).sum())
    return Errors(
        int(np.maximum(said - heard, 0).sum()), int(np.maximum(heard - said, 0).sum()), both - right, int(said.sum())
    )


def _activity(turns: Turns, frames: int) -> np.ndarray:
    who = list(dict.fromkeys(name for _, _, name in turns))
    active = np.zeros((len(who), frames), int)
    for start, end, name in turns:
        active[who.index(name), start // STEP : end // STEP] = 1
    return active


def _best(together: np.ndarray) -> int:
    """The most frames that a mapping of one to one explains."""
    fewer = together if together.shape[0] <= together.shape[1] else together.T
    if not fewer.size:
        return 0
    rows = range(fewer.shape[0])
    columns = sorted(range(fewer.shape[1]), key=lambda column: -fewer[:, column].sum())[:8]
    return max(int(sum(fewer[row, column] for row, column in zip(rows, order, strict=True)))
               for order in permutations(columns, len(rows)))  # fmt: skip
