"""Sounds to cut, as 16-bit samples at 16 kHz: speech whose words are known, noises, and ways to hand them over."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.oracle.speech import Spoken, Style, generate
from pipeline.transcript import SAMPLE_RATE

Samples = NDArray[np.float64]


@cache
def oracle(style: Style, seconds: float, seed: int = 1) -> tuple[bytes, tuple[Spoken, ...]]:
    """Oracle speech and its words."""
    blocks, words = zip(*generate(seconds=seconds, style=style, seed=seed), strict=True)
    return b"".join(blocks), tuple(word for some in words for word in some)


def pcm(samples: Any) -> bytes:
    """Whatever numbers, clipped and rounded."""
    return bytes(np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes())


def samples(sound: bytes) -> Samples:
    """The numbers in s16le sound."""
    return np.frombuffer(sound, dtype="<i2").astype(np.float64)


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * SAMPLE_RATE))


def white(seconds: float, level: float, seed: int = 1) -> Samples:
    """White noise of this standard deviation."""
    return np.random.default_rng(seed).normal(0, level, round(seconds * SAMPLE_RATE))


def coloured(seconds: float, level: float, slope: float, seed: int = 1) -> Samples:
    """Noise whose amplitude falls with frequency to this power: 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(white(seconds, 1.0, seed))
    spectrum /= np.maximum(np.arange(len(spectrum)), 60 * seconds) ** slope
    noise = np.fft.irfft(spectrum, round(seconds * SAMPLE_RATE))
    return noise * (level / noise.std())


def tone(seconds: float, hertz: float, level: float) -> Samples:
    """A steady sine."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def sweep(seconds: float, level: float) -> Samples:
    """A siren between 100 and 5,000 Hz, up and down in 5 s."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = 2550 - 2450 * np.cos(2 * np.pi * t / 5)
    return level * np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE)


def clicks(seconds: float, level: float, per_second: float) -> Samples:
    """Short knocks at random times."""
    chance = np.random.default_rng(1)
    train = np.zeros(round(seconds * SAMPLE_RATE))
    train[chance.integers(0, len(train), round(seconds * per_second))] = level
    knock = np.exp(-np.arange(160) / 30) * np.cos(np.arange(160))
    return np.convolve(train, knock)[: len(train)]


def _played(seconds: float, notes: Iterable[tuple[float, Samples]]) -> Samples:
    """Sounds at their times, one over the other."""
    whole = np.zeros(round((seconds + 5) * SAMPLE_RATE))
    for at, sound in notes:
        start = round(at * SAMPLE_RATE)
        whole[start : start + len(sound)] += sound
    return whole[: round(seconds * SAMPLE_RATE)]


def _note(key: int, seconds: float, decay: float) -> Samples:
    """A plucked string; `key` as on a keyboard, 69 is 440 Hz."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = 440 * 2 ** ((key - 69) / 12)
    partials = sum(np.sin(2 * np.pi * hertz * nth * t) / nth**1.5 for nth in range(1, 7))
    return np.asarray(partials * np.minimum(t / 0.01, 1) * np.exp(-t / decay))


def chords(seconds: float, step: float, level: float) -> Samples:
    """Four notes at once, every `step` seconds."""
    chance = np.random.default_rng(1)
    roots = [(at, 48 + int(chance.choice([0, 5, 7, 9]))) for at in np.arange(0, seconds, step)]
    struck = ((at, _note(root + third, step * 1.2, 1.0)) for at, root in roots for third in (0, 4, 7, 12))
    return _levelled(_played(seconds, struck), level)


def arpeggio(seconds: float, step: float, level: float) -> Samples:
    """Broken chords, one note after the other, four bars of six."""
    steps = enumerate(np.arange(0, seconds, step))
    picked = ((at, 60 + (0, 5, 7, 3)[int(at // 2) % 4] + (0, 4, 7, 12, 7, 4)[nth % 6]) for nth, at in steps)
    return _levelled(_played(seconds, ((at, _note(key, 0.5, 0.2)) for at, key in picked)), level)


def drums(seconds: float, beat: float, level: float) -> Samples:
    """Kick, snare and hi-hat."""
    chance = np.random.default_rng(1)
    t = np.arange(round(0.25 * SAMPLE_RATE)) / SAMPLE_RATE

    def struck(nth: int) -> Samples:
        if nth % 4 == 0:
            return np.asarray(3 * np.sin(2 * np.pi * (50 * t + 5 * (1 - np.exp(-t * 30)))) * np.exp(-t / 0.08))
        noise = chance.normal(size=len(t))
        return 1.5 * noise * np.exp(-t / 0.06) if nth % 4 == 2 else 0.5 * noise * np.exp(-t / 0.02)

    hits = ((at, struck(nth)) for nth, at in enumerate(np.arange(0, seconds, beat / 2)))
    return _levelled(_played(seconds, hits), level)


def _levelled(numbers: Samples, level: float) -> Samples:
    """The same with this greatest amplitude."""
    return numbers * (level / np.abs(numbers).max())


def in_blocks(sound: bytes, size: int = 65536) -> Iterator[bytes]:
    """The same, block by block."""
    return (sound[at : at + size] for at in range(0, len(sound), size))
