"""What tells one voice from another: how high it is, and how its sound is spread over the ear's bands."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

BANDS, LOWEST_HZ, HIGHEST_HZ = 20, 60.0, 11_000.0
SEMITONE, DECIBELS = 1.0, 2.0  # what two voices differ by at least, in one or the other


@dataclass(frozen=True)
class Traits:
    """`pitch`: the median fundamental of the loud frames, in Hz. `bands`: dB of each mel band, their mean taken away."""

    pitch: float
    bands: tuple[float, ...]


def traits(pcm: bytes, sample_rate: int) -> Traits:
    """Of s16le mono sound."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return Traits(_pitch(samples, sample_rate), tuple(_bands(samples, sample_rate)))


def differences(voices: Mapping[str, Traits]) -> Iterator[tuple[str, str, float, float]]:
    """Of each pair, the semitones and the RMS of the dB between them."""
    for one, other in itertools.combinations(voices, 2):
        a, b = voices[one], voices[other]
        bands = np.subtract(a.bands, b.bands)
        yield one, other, abs(12 * np.log2(a.pitch / b.pitch)), float(np.sqrt((bands**2).mean()))


def _pitch(samples: np.ndarray, sample_rate: int) -> float:
    size = sample_rate * 60 // 1000
    window, level, found = np.hanning(size), samples.std(), []
    own = _autocorrelation(window)  # what the window alone does to a lag
    shortest, longest = sample_rate // 450, sample_rate // 60
    for at in range(0, len(samples) - size, size // 3):
        frame = samples[at : at + size]
        if frame.std() < 0.7 * level:
            continue
        likeness = _autocorrelation((frame - frame.mean()) * window)
        fair = likeness[shortest:longest] / likeness[0] * own[0] / own[shortest:longest]
        if fair.max() > 0.5:
            best = int(np.flatnonzero(fair > 0.9 * fair.max())[0])  # the first peak: the others are its multiples
            while best + 1 < len(fair) and fair[best + 1] > fair[best]:
                best += 1
            found.append(sample_rate / (shortest + best))
    return float(np.median(found))


def _autocorrelation(frame: np.ndarray) -> np.ndarray:
    likeness: np.ndarray = np.fft.irfft(np.abs(np.fft.rfft(frame, 4096)) ** 2)
    return likeness


def _bands(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    size = 1024
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::256] * np.hanning(size)
    power = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
    places = _mel(np.fft.rfftfreq(size, 1 / sample_rate))
    edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2)
    rising = (places - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - places) / (edges[2:] - edges[1:-1])[:, None]
    decibels = 10 * np.log10((np.clip(np.minimum(rising, falling), 0, None) * power).sum(axis=1) + 1e-9)
    centred: np.ndarray = decibels - decibels.mean()
    return centred


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))
