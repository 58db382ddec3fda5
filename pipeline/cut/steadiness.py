"""Whether a sound is the same from its beginning to its end, as hum and the noise of rooms, fans and lines are.

Asked before a stretch is kept from a provider, so it has to be certain: everything in which something begins, ends or changes is
not steady, be it a word, speech below a noise, a door or a note. Three figures over stretches of some seconds tell, for each
frequency by itself, so that the colour and the level of a noise do not matter. They are known for every steady sound:

bursts   the natural logarithm of the mean sixth power of what patches of 80 ms by 190 Hz have of their frequencies' mean power,
         half seconds counting as equally loud. So much time and pitch a formant or some harmonics fill; the sixth power looks for
         the few that stand out. Noise of any colour has 1.04, at most 1.25 in four seconds of it, 1.42 in one; a tone has less.
         Speech 10 dB below white, pink or brown noise has 1.3 and more, a short word in a quiet room 10 and more.
dips     the natural logarithm of the power's mean over its geometric mean, eighths of a second at a time, loud frequencies
         counting more. A tone has 0, noise of any colour 0.07, at most 0.1 where little of it is known; a melody of two notes
         0.13, one of more or a tone with a pause 0.4 and more, whose bursts may be fewer than those of noise.
leap     how far a patch and both its neighbours in time stand over the median of their frequencies, where the third quartile
         stands one over it: noise of any colour has at most 13, hums and engines less, for they are evener than noise. A word that
         is 10 dB below one has 60 and more where its bursts are still those of noise; what codecs make up beside tones is shorter.

A single tone that glides without a stop, as sirens and test signals do, is taken for steady, too, where the rest is: no voice
does.
Noise that has the colour of speech is never steady: speech 10 dB below it is not told from it one time in ten. Of voices the
octave around 250 Hz is as loud as the one around 500, and those around 1,000 and 2,000 some 7 and 13 dB less; brown noise and fans
have 5 dB more at the bottom, pink noise falls half as far. A hum of that colour, of which the bursts are few, hides no voice.
A lossy codec makes noise livelier, to 1.3: of its chunks of 30 s one in thirteen costs a call, of white noise in AAC one in four.
Both overlap: higher limits would lose sentences under pink noise, some of which exceed them as little. A comb of harmonics tells
neither: over the sentences that are missed it finds what it finds over noise.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.cut.vad import INAUDIBLE
from pipeline.transcript import SAMPLE_RATE

_HALF = 2 * SAMPLE_RATE  # two of them are judged together, so that each word but a very long one is whole in some pair
_WINDOW = 512  # samples, 32 ms: wide enough to part the harmonics of a voice from the noise between them
_HOP = _WINDOW // 2
_LOWEST, _HIGHEST = 200, 4000  # Hz: all speech has something there, in a telephone too
_BINS = slice(_LOWEST * _WINDOW // SAMPLE_RATE, _HIGHEST * _WINDOW // SAMPLE_RATE)
_SHAPE = np.hanning(_WINDOW)
_ARITHMETIC = 10 ** (INAUDIBLE / 10) * (_SHAPE**2).sum()  # what rounding and dither have in each bin
_SLOW = 15  # pairs of rows, half a second: a fan sways more slowly, syllables do not
_MASKED = 0.02  # of the mean power: 17 dB below the loud bins lies what codecs make up beside a hum
_BLOCK = 8  # rows whose mean is taken before looking for dips
_NOISE_BURSTS, _NOISE_DIPS, _HUM_BURSTS = 1.04, 0.066, 0.3
_BURSTS, _DIPS = 3.7, 0.7  # over the square root of the rows, is what chance may add: five standard deviations
_LEAP, _LEAST_SPREAD = 16.0, 0.02  # the latter in patches' levels
_POOLED = 5  # places in pitch whose spread is taken together: of so many it is known
_FEW = 5.3  # over the rows, is what bursts have less: the mean of a short stretch leans towards what stands out
_OCTAVES = [
    slice(hz * _WINDOW // SAMPLE_RATE - _BINS.start, 2 * hz * _WINDOW // SAMPLE_RATE - _BINS.start)
    for hz in (200, 400, 800, 1600)
]  # their bins
_LEVEL, _FALL = 2.5, (8.0, 18.0)  # dB: the low ones of voices differ by less, the third by more, the fourth by so much
_SKIRT, _ALONE = 4, 0.9  # bins to either side of a gliding tone, and its share of all power
_LATER, _SLOWEST, _FASTEST = 4, 2, 12  # rows, and the bins that a glide goes in so many: 1 to 6 kHz a second

Powers = NDArray[np.float64]


def changing(pcm: bytes, *, least: int) -> list[tuple[int, int]]:
    """Where s16le mono is not steady: stretches of a few seconds in samples, in order; they may overlap.

    Fewer than `least` samples prove nothing: all of it may be a word.
    """
    samples = np.frombuffer(pcm, dtype="<i2")
    if len(samples) < max(least, _WINDOW + _BLOCK * _HOP):
        return [(0, len(samples))] if len(samples) else []
    pieces = len(samples) // _HALF
    if pieces <= 1:
        return [] if _steady(_powers(samples)) else [(0, len(samples))]
    return _unsteady(samples, np.linspace(0, len(samples), pieces + 1).astype(int).tolist())


def _unsteady(samples: NDArray[np.int16], edges: list[int]) -> list[tuple[int, int]]:
    """Each piece is transformed once, and judged with the one before and the one after."""
    found, before = [], _powers(samples[: edges[1]])
    for first, (middle, last) in zip(edges, pairwise(edges[1:]), strict=False):
        after = _powers(samples[middle:last])
        if not _steady(np.concatenate((before, after))):
            found.append((first, last))
        before = after
    return found


def _powers(samples: NDArray[np.int16]) -> Powers:
    """One row for each 16 ms, the last for the last samples; one column for each bin."""
    windows = sliding_window_view(samples, _WINDOW)
    frames = windows[_reaching_the_end(len(windows), _HOP)] * _SHAPE
    spectrum = np.fft.rfft(frames, axis=1)[:, _BINS]
    powers: Powers = np.maximum(np.square(spectrum.real) + np.square(spectrum.imag), _ARITHMETIC)
    return powers


def _reaching_the_end(count: int, step: int) -> NDArray[np.intp]:
    """Every so many of the places below `count`, and the last one: a word may begin in the last tenth of a second."""
    places = np.arange(0, count, step)
    return places if places[-1] == count - 1 else np.append(places, count - 1)


def _steady(powers: Powers) -> bool:
    if _is_coloured_as_speech(powers) and _bursts(_patches(powers)) > _HUM_BURSTS:
        return False
    if _even(powers):
        return True
    powers = np.maximum(powers, _MASKED * powers.mean())
    return _glides(powers) and _even(_without_loudest(powers))


def _is_coloured_as_speech(powers: Powers) -> bool:
    low, middle, third, high = (10 * np.log10(powers[:, octave].mean()) for octave in _OCTAVES)
    return bool(abs(low - middle) < _LEVEL < middle - third and _FALL[0] < middle - high < _FALL[1])


def _glides(powers: Powers) -> bool:
    """Whether what changes is one tone that goes up or down all the while: a voice has harmonics, and holds its vowels."""
    loudest = powers.argmax(axis=1)
    around = np.abs(np.arange(powers.shape[1]) - loudest[:, np.newaxis]) <= _SKIRT
    alone = (powers * around).sum(axis=1) > _ALONE * powers.sum(axis=1)
    moves = np.abs(loudest[_LATER:] - loudest[:-_LATER])[alone[_LATER:] & alone[:-_LATER]]
    return len(moves) > _LATER and np.median(moves) >= _SLOWEST and np.percentile(moves, 95) <= _FASTEST


def _without_loudest(powers: Powers) -> Powers:
    """With the loudest bins of each row as loud as they are in the other rows."""
    around = np.abs(np.arange(powers.shape[1]) - powers.argmax(axis=1)[:, np.newaxis]) <= _SKIRT
    rest = np.ma.masked_array(powers, around).mean(axis=0)
    return np.where(around, rest.filled(powers.mean()), powers)


def _even(powers: Powers) -> bool:
    count, patches = len(powers), _patches(powers)
    chance = count**-0.5
    return bool(
        _dips(np.maximum(powers, _MASKED * powers.mean())) < _NOISE_DIPS + _DIPS * chance
        and _bursts(patches) < _NOISE_BURSTS + _BURSTS * chance - _FEW / count
        and _leap(patches) < _LEAP
    )


def _patches(powers: Powers) -> Powers:
    """Their levels: 1 is what each has at its frequencies in the mean."""
    pairs = _paired(_paired(powers).T).T
    levels = pairs / np.maximum(pairs.mean(axis=0), _MASKED * pairs.mean())
    levels *= _evened(levels.mean(axis=1))[:, np.newaxis]
    tall = levels[:-1] + levels[1:]
    patches: Powers = (tall[:, :-2] + tall[:, 1:-1] + tall[:, 2:]) / 6
    return patches


def _bursts(patches: Powers) -> float:
    return float(np.log(np.square(patches * patches * patches).mean()))


def _leap(patches: Powers) -> float:
    median, quartile = np.quantile(patches, (0.5, 0.75), axis=0)
    reach = _POOLED // 2
    spread = np.convolve(np.pad(quartile - median, reach, "edge"), np.ones(_POOLED) / _POOLED, "valid")
    above = (patches - median) / np.maximum(spread, _LEAST_SPREAD)
    return float(np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:]).max())


def _paired(rows: Powers) -> Powers:
    """Two and two together: patches at every other place tell as much as at each."""
    firsts = _reaching_the_end(len(rows) - 1, 2)
    pairs: Powers = rows[firsts] + rows[firsts + 1]
    return pairs


def _evened(levels: Powers) -> Powers:
    """What makes half seconds equally loud."""
    window = np.ones(min(_SLOW, len(levels)))
    around = np.convolve(levels, window, "same") / np.convolve(np.ones(len(levels)), window, "same")
    evened: Powers = around.mean() / around
    return evened


def _dips(powers: Powers) -> float:
    firsts = _reaching_the_end(len(powers) - _BLOCK + 1, _BLOCK)
    smooth = powers[firsts[:, np.newaxis] + np.arange(_BLOCK)].mean(axis=1)
    mean = smooth.mean(axis=0)
    return float(np.average(np.log(mean) - np.log(smooth).mean(axis=0), weights=mean))
