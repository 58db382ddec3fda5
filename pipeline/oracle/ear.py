"""Reads oracle speech back: finds every chirp by correlation, then the eight digits behind it.

A word of which a part is missing is reported as BROKEN, never as another word. Works on any piece of a recording: what
is cut off at its edges is broken or, when the chirp itself is gone, not heard at all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.oracle.speech import (
    CHIRP_S,
    CHORD_S,
    CHORDS,
    HIGH_TONES,
    LONGEST_WORD_S,
    LOW_TONES,
    chirp,
    word_seconds,
)
from pipeline.oracle.words import DIGITS, VOCABULARY, codes

BROKEN = "<broken>"
RATE = 16_000
_CHIRP = round(CHIRP_S * RATE)
_CHORD = round(CHORD_S * RATE)
_WINDOW = 1 << 18  # samples correlated at once, 16 s
_OVERLAP = round(LONGEST_WORD_S * RATE) + RATE // 10
_LIKE_A_CHIRP = 0.45  # of a perfect correlation; noise stays below 0.15, a chirp through a bad codec above 0.6
_APART = round(0.12 * RATE)  # two chirps are never closer than half the shortest word
_MISSING = round(0.02 * RATE)  # a word may lack this much at an edge
_GUARD = round(0.006 * RATE)  # left out at both ends of a chord: there it fades
_DOMINANT = 0.35  # a tone must hold this share of its band's power to count as heard
_FAINTEST = 1e-7  # mean power, full scale 1: below it there is nothing to hear (-70 dB)
_MAY_DIFFER = 1  # digits; the code has distance 6


@dataclass(frozen=True)
class HeardWord:
    """A word or BROKEN, in samples of the piece that was listened to, with the share of the digits heard well."""

    text: str
    start: int
    end: int
    confidence: float


def listen(pcm: bytes) -> list[HeardWord]:
    """The words in s16le mono 16 kHz sound, in order."""
    sound = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.float32) / 32768
    pad = np.zeros(_CHIRP, dtype=np.float32)  # lets a chirp be found of which the beginning was cut off
    padded = np.concatenate([pad, sound, pad])
    starts = np.array(list(_chirps(padded)), dtype=np.int64)
    if not len(starts):
        return []
    digits = _digits(padded, starts)
    words = _words(digits, starts - _CHIRP, len(sound))
    return list(words)


def _chirps(sound: NDArray[np.float32]) -> Iterator[int]:
    """Where chirps begin, window by window, so that memory does not grow with an FFT of the whole."""
    step = _WINDOW - _OVERLAP
    last = -_APART
    for begin in range(0, max(1, len(sound) - _CHIRP), step):
        window = sound[begin : begin + _WINDOW]
        for place in _peaks(_likeness(window)):
            if place < step and begin + place - last >= _APART:
                last = begin + place
                yield last


def _likeness(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised correlation with the chirp for every start: 1 is a perfect one of any loudness."""
    if len(window) < _CHIRP:
        return np.zeros(0, dtype=np.float32)
    size = 1 << (len(window) - 1).bit_length()  # what wraps around begins behind the last whole chirp
    spectrum = np.fft.rfft(window, size) * _chirp_spectrum(size)
    correlation = np.fft.irfft(spectrum, size)[: len(window) - _CHIRP + 1]
    power = np.concatenate([[0.0], np.cumsum(window.astype(np.float64) ** 2)])
    energy = power[_CHIRP:] - power[:-_CHIRP]
    return np.asarray(correlation / np.sqrt(np.maximum(energy, _FAINTEST * _CHIRP)), dtype=np.float32)


@functools.cache
def _chirp_spectrum(size: int) -> NDArray[np.complex128]:
    template = chirp(RATE).astype(np.float64)
    return np.conj(np.fft.rfft(template / np.linalg.norm(template), size))


def _peaks(likeness: NDArray[np.float32]) -> Iterator[int]:
    """The best start of every run of starts that look like a chirp."""
    candidates = np.flatnonzero(likeness > _LIKE_A_CHIRP)
    if not len(candidates):
        return
    for run in np.split(candidates, np.flatnonzero(np.diff(candidates) > _APART) + 1):
        yield int(run[np.argmax(likeness[run])])


def _digits(sound: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.int8]:
    """(words, 8): the digit heard at each place, or -1."""
    length = _CHORD - 2 * _GUARD
    offsets = _CHIRP + _GUARD + _CHORD * np.arange(CHORDS)
    places = starts[:, None, None] + offsets[None, :, None] + np.arange(length)
    inside = places < len(sound)
    chords = np.where(inside, sound[np.minimum(places, len(sound) - 1)], 0.0)
    power = np.abs(chords @ _tones(length)) ** 2
    audible = (chords**2).mean(-1) > _FAINTEST
    heard = np.stack([_strongest(power[..., :8], audible), _strongest(power[..., 8:], audible)], axis=-1)
    return heard.reshape(len(starts), DIGITS)


@functools.cache
def _tones(length: int) -> NDArray[np.complex128]:
    """(samples, 16): one matched filter per tone, low ones first."""
    t = np.arange(length)[:, None] / RATE
    window = np.hanning(length + 2)[1:-1, None]
    return np.asarray(window * np.exp(-2j * np.pi * t * np.array(LOW_TONES + HIGH_TONES)))


def _strongest(power: NDArray[np.float64], audible: NDArray[np.bool_]) -> NDArray[np.int8]:
    share = power.max(-1) / np.maximum(power.sum(-1), 1e-20)
    return np.where(audible & (share > _DOMINANT), power.argmax(-1), -1).astype(np.int8)


def _words(digits: NDArray[np.int8], starts: NDArray[np.int64], length: int) -> Iterator[HeardWord]:
    """The word whose code is nearest, unless it is too far or a part of it lies outside."""
    right = (digits[:, None, :] == codes()[None]).sum(-1)
    best = right.argmax(-1)
    for start, word, matches in zip(starts.tolist(), best.tolist(), right.max(-1).tolist(), strict=True):
        end = start + round(word_seconds(word) * RATE)
        whole = matches >= DIGITS - _MAY_DIFFER and start >= -_MISSING and end <= length + _MISSING
        begin, stop = max(0, start), max(0, min(end, length))
        yield HeardWord(VOCABULARY[word] if whole else BROKEN, min(begin, stop), stop, matches / DIGITS)
