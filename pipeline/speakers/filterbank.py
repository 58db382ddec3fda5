"""Sound as the voices' network wants it: Kaldi's 80 log mel filterbanks, 100 frames a second."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.transcript import SAMPLE_RATE

Floats = NDArray[np.float32]
FILTERS = 80
FRAME, STEP = 400, 160  # samples: 25 ms, each 10 ms after the one before
_FFT = 512
_LOWEST = 20.0  # Hz
_PREEMPHASIS = np.float32(0.97)
_LEAST = np.float32(np.finfo(np.float32).eps)


def filterbanks(pcm: bytes) -> Floats:
    """A row for each whole frame of s16le mono 16 kHz sound."""
    sound = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
    if len(sound) < FRAME:
        return np.zeros((0, FILTERS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::STEP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate((frames[:, :1], frames[:, :-1]), axis=1)
    spectrum = np.fft.rfft((frames - _PREEMPHASIS * before) * _window(), _FFT)
    power = spectrum.real**2 + spectrum.imag**2
    told: Floats = np.log(np.maximum(power.astype(np.float32) @ _mel(), _LEAST))
    return told


@cache
def _window() -> Floats:
    """Povey's: a Hann window to the power of .85."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
    return (hann**0.85).astype(np.float32)


@cache
def _mel() -> Floats:
    """Triangles of equal width in mel, from the lowest frequency to half the sample rate; a column each."""
    edges = np.linspace(_mels(_LOWEST), _mels(SAMPLE_RATE / 2), FILTERS + 2)
    bins = _mels(np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT)[:, None]
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


@cache
def filter_hertz() -> tuple[float, ...]:
    """The middle of each filter."""
    edges = np.linspace(_mels(_LOWEST), _mels(SAMPLE_RATE / 2), FILTERS + 2)
    return tuple((700 * np.expm1(edges[1:-1] / 1127)).tolist())


def _mels(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(1127 * np.log1p(np.asarray(hertz) / 700))
