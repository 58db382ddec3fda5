"""A stretch of speech with its words in time: as the voice tells them, or laid over what sounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.transcript import Word

_CJK = "\u3040-\u30ff\u3400-\u9fff"  # kana and ideographs, which are written without spaces
_CJK_MARKS = "\u3001-\u3011\uff01-\uff0f\uff1a-\uff1f"
_TOKEN = re.compile(rf"[{_CJK}][{_CJK_MARKS}]*|[^\s{_CJK}]+")
_FRAME_S = 0.01
_QUIET = 0.02  # of the loudest frame; below it, nothing sounds


@dataclass(frozen=True, slots=True)
class Marks:
    """What a voice tells of its own timing: (character, ms) where words begin, and ms where it comes to rest."""

    begins: tuple[tuple[int, int], ...] = ()
    rests: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Utterance:
    """s16le mono sound of `sample_rate` Hz, and every word of its text, in ms from the first sample.

    A word is what white space separates, or one ideograph; the words together are the text without its white space.
    """

    text: str
    pcm: bytes
    sample_rate: int
    words: tuple[Word, ...] = ()

    @property
    def length(self) -> int:
        """In ms."""
        return _length(self.pcm, self.sample_rate)


def marked(text: str, pcm: bytes, sample_rate: int, marks: Marks) -> Utterance:
    """The utterance of a voice that told when it said what. A word without a mark lies between its neighbours'."""
    tokens = [(found.start(), found.end(), found.group()) for found in _TOKEN.finditer(text)]
    length = _length(pcm, sample_rate)
    if not tokens or not marks.begins:
        return laid_over(text, pcm, sample_rate)
    begins = dict(reversed(marks.begins))  # of several marks at one place, the first counts
    known = {
        start: min((ms for at, ms in begins.items() if start <= at < end), default=None) for start, end, _ in tokens
    }
    told = [(start, ms) for start, ms in known.items() if ms is not None]
    if not told:
        return laid_over(text, pcm, sample_rate)
    places, times = zip(*told, (len(text), length), strict=True)
    starts = np.interp([start for start, _, _ in tokens], places, np.maximum.accumulate(times))
    return Utterance(text, pcm, sample_rate, _words([token for *_, token in tokens], starts, length, marks.rests))


def laid_over(text: str, pcm: bytes, sample_rate: int) -> Utterance:
    """The utterance of a voice that tells no times: each word gets the share of the sounding time that its letters have."""
    found = list(_TOKEN.finditer(text))
    sounding = _sounding(pcm, sample_rate)
    if not found or not len(sounding):
        return Utterance(text, pcm, sample_rate, tuple(Word(one.group(), 0, 0) for one in found))
    weights = np.cumsum([0, *(len(one.group()) + 1 for one in found)])
    at = weights / weights[-1] * len(sounding)
    starts = sounding[np.minimum(at[:-1].astype(int), len(sounding) - 1)]
    ends = sounding[np.minimum(np.maximum(at[1:].astype(int) - 1, 0), len(sounding) - 1)] + round(1000 * _FRAME_S)
    length = _length(pcm, sample_rate)
    return Utterance(
        text, pcm, sample_rate, _words([one.group() for one in found], starts, length, tuple(map(int, ends)))
    )


def _words(texts: Sequence[str], starts: NDArray[np.float64], length: int, rests: Sequence[int]) -> tuple[Word, ...]:
    """Each word lasts until the next one begins, or until the voice rests."""
    begin = np.clip(np.rint(starts), 0, length).astype(int).tolist()
    ends = [*begin[1:], length]
    resting = sorted(rests)
    words = []
    for text, start, end in zip(texts, begin, ends, strict=True):
        rest = next((ms for ms in resting[_after(resting, start) :] if ms <= end), end)
        words.append(Word(text, start, max(start, rest)))
    return tuple(words)


def _after(ordered: Sequence[int], value: int) -> int:
    return int(np.searchsorted(ordered, value, side="right"))


def _sounding(pcm: bytes, sample_rate: int) -> NDArray[np.int64]:
    """The times in ms of all frames of 10 ms in which something sounds."""
    frame = round(sample_rate * _FRAME_S)
    samples = np.frombuffer(pcm, dtype="<i2")
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float32)
    if not len(whole):
        return np.zeros(0, dtype=np.int64)
    level = np.sqrt((whole**2).mean(axis=1))
    loud = np.flatnonzero(level > _QUIET * level.max())
    return np.asarray(loud * round(1000 * _FRAME_S), dtype=np.int64)


def _length(pcm: bytes, sample_rate: int) -> int:
    return round(1000 * (len(pcm) // 2) / sample_rate)
