"""Windows in which more than one person speaks, by the second network: they would look like somebody who is not there.

It hears 10 s at a time, and tells for every 17 ms which of up to three voices speak. Its voices have no names beyond these 10 s:
here it is only counted whether a window is nearly all one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.transcript import SAMPLE_RATE

LONG, HOP = 10 * SAMPLE_RATE, 5 * SAMPLE_RATE  # samples
_FRAME = 270  # samples of one answer
_ALONE = 0.85  # of the frames in which anybody speaks
_SETS = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))  # the classes: who of the three
_SAMPLE_BYTES = 2


def pieces(pcm: bytes) -> Iterator[tuple[int, bytes]]:
    """What the network hears of a chunk: where each piece begins, and its sound, the last one with silence behind it."""
    length = len(pcm) // _SAMPLE_BYTES
    for start in range(0, max(1, length - (LONG - HOP)), HOP):
        yield start, pcm[_SAMPLE_BYTES * start : _SAMPLE_BYTES * (start + LONG)].ljust(_SAMPLE_BYTES * LONG, b"\0")


def classes_of(scores: NDArray[np.float32]) -> bytes:
    """The likeliest class of each frame."""
    return bytes(np.argmax(scores, axis=-1).astype(np.uint8))


def mixed(windows: Sequence[tuple[int, int]], heard: Sequence[tuple[int, bytes]]) -> list[int]:
    """The numbers of those windows, [first, last) in the chunk's samples, that are not nearly all one voice."""
    return [number for number, window in enumerate(windows) if not _is_one(window, heard)]


def _is_one(window: tuple[int, int], heard: Sequence[tuple[int, bytes]]) -> bool:
    """As the piece tells in whose middle it lies."""
    middle = (window[0] + window[1]) // 2
    start, classes = min(heard, key=lambda piece: abs(piece[0] + LONG // 2 - middle))
    first, last = (max(0, at - start) // _FRAME for at in window)
    counts = np.bincount(np.frombuffer(classes, np.uint8)[first:last], minlength=len(_SETS))
    voices = [sum(int(counts[at]) for at, who in enumerate(_SETS) if voice in who) for voice in range(3)]
    together = sum(int(counts[at]) for at, who in enumerate(_SETS) if len(who) > 1)
    active = int(counts[1:].sum())
    return not active or (max(voices) >= _ALONE * active and together <= (1 - _ALONE) * active)
