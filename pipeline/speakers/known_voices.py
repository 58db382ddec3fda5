"""Voices with a name: each name for the one that sounds most like its sample, and for no other; who else would be thought to be
one with him is told apart by theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.speakers.clustering import FEWEST
from pipeline.speakers.linkage import Vectors, nearest, normalized, summed

_ALIKE = 0.45  # a sample and the centre of the same speaker; strangers are below it but once in a thousand times
_NEARER = 0.1  # so much more a part of the windows is like its own sample than like another's, for it to be a speaker
_ROUNDS = 3


def heard_in(samples: Sequence[Vectors], size: int) -> Vectors:
    """A row of unit length for each sample: it is as many vectors of this size, one after the other, as it has windows."""
    sums = [sample.reshape(-1, size).sum(axis=0) for sample in samples]
    return normalized(np.array(sums, np.float32).reshape(-1, size))


def told_apart(vectors: Vectors, speakers: Vectors, voices: Vectors) -> Vectors:
    """The centres, those to which several known voices come near divided among them where each has windows of its own."""
    labels = nearest(vectors, speakers)
    found: list[Vectors] = []
    for at, speaker in enumerate(speakers):
        likely = voices[voices @ speaker >= _ALIKE] if len(voices) else voices
        parts = _parts(vectors[labels == at], likely) if len(likely) > 1 else None
        found.append(speaker[None] if parts is None else parts)
    return np.concatenate(found) if found else speakers


def _parts(vectors: Vectors, voices: Vectors) -> Vectors | None:
    """A centre for each of these voices that speaks in these windows; None where it is one."""
    middles = voices
    for _ in range(_ROUNDS):
        labels = nearest(vectors, middles)
        middles = normalized(summed(vectors, labels, len(voices)))
    alike, sizes = middles @ voices.T, np.bincount(labels, minlength=len(voices))
    own = np.diag(alike).copy()
    np.fill_diagonal(alike, -1.0)
    kept = (sizes >= FEWEST) & (own - alike.max(axis=1) >= _NEARER)
    return middles[kept] if kept.sum() > 1 else None


def named(speakers: Vectors, voices: Vectors) -> list[int]:
    """For each speaker the number of the known voice that is his, or -1. Best pairs come first."""
    names = [-1] * len(speakers)
    if not len(speakers) or not len(voices):
        return names
    alike = speakers @ voices.T
    for pair in np.argsort(-alike, axis=None, kind="stable"):
        speaker, voice = divmod(int(pair), len(voices))
        if alike[speaker, voice] < _ALIKE:
            break
        if names[speaker] < 0 and voice not in names:
            names[speaker] = voice
    return names
