"""M10: what a speech gate takes for no speech, where it decides instead of saving."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.oracle.speech import say, word_seconds
from pipeline.oracle.words import VOCABULARY, index_of
from tests.support.media_rows.material import Row, Said, Sound, both, said_by_both, wav

EDGE, GAP = 0.2, 0.5  # seconds of silence around words, and between them
WORD = min(VOCABULARY, key=lambda word: word_seconds(index_of(word)))
TIMES = 8
NOISE = 10 ** (5 / 20)  # as loud as that, against speech


def rows() -> Iterator[Row]:
    """All of them."""
    yield Row("M10 wav, one quiet word alone", lambda _: wav(_lone() // 16), ((WORD, EDGE),))
    yield Row("M10 wav, a word in the rhythm of a machine", lambda _: wav(_spoken(TIMES)), _said(TIMES))
    yield Row("M10 wav, speech under noise", lambda _: wav(_under_noise()), said_by_both())
    by_itself = {"channels": "separate"}
    told = (*_said(TIMES), (WORD, EDGE))
    yield Row("M10 wav, both, each channel", lambda _: wav(_spoken(TIMES), _padded()), told, fields=by_itself, layers=2)


def _lone() -> Sound:
    return _spoken(1)


def _padded() -> Sound:
    """As long as the other channel."""
    return np.pad(_lone() // 16, (0, len(_spoken(TIMES)) - len(_lone())))


def _spoken(times: int) -> Sound:
    return np.frombuffer(say([WORD] * times, gap_s=GAP, edge_s=EDGE), "<i2")


def _said(times: int) -> Said:
    each = word_seconds(index_of(WORD)) + GAP
    return tuple((WORD, EDGE + number * each) for number in range(times))


def _under_noise() -> Sound:
    whole = both().astype(float)
    speech = float(np.sqrt(np.mean(whole[np.abs(whole) > np.abs(whole).max() / 50] ** 2)))
    mixed = whole + np.random.default_rng(1).normal(0, NOISE * speech, len(whole))
    return (mixed * min(1.0, 30_000 / np.abs(mixed).max())).astype("<i2")
