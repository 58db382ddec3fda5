"""Sounds to cut, as 16-bit samples at 16 kHz: speech whose words are known, noises, and ways to hand them over."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.oracle_speech import Spoken, Style, generate
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


def in_blocks(sound: bytes, size: int = 65536) -> Iterator[bytes]:
    """The same, block by block."""
    return (sound[at : at + size] for at in range(0, len(sound), size))
