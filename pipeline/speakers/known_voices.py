"""Which of the voices that were found have a name: each name for the one that sounds most like its sample, and for no other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ALIKE = 0.45  # a sample and the centre of the same speaker; strangers are below it but once in a thousand times

Vectors = NDArray[np.float32]


def named(speakers: Vectors, samples: Sequence[Vectors]) -> list[int]:
    """For each speaker the number of the sample that is his, or -1. Best pairs come first.

    A sample is as many vectors, one after the other, as it has windows.
    """
    names = [-1] * len(speakers)
    if not len(speakers) or not samples:
        return names
    voices = np.stack([_unit(sample.reshape(-1, speakers.shape[1]).sum(axis=0)) for sample in samples])
    alike = speakers @ voices.T
    for pair in np.argsort(-alike, axis=None, kind="stable"):
        speaker, sample = divmod(int(pair), len(samples))
        if alike[speaker, sample] < _ALIKE:
            break
        if names[speaker] < 0 and sample not in names:
            names[speaker] = sample
    return names


def _unit(vector: Vectors) -> Vectors:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))
