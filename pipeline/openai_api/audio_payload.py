"""A chunk's samples as a file that a server takes: small enough, in a container it reads; and where to cut one that is not."""

from __future__ import annotations

import io
import wave
from collections.abc import Collection

import numpy as np

from pipeline.audio.compress import compress
from pipeline.audio.encode import MEDIA_TYPES
from pipeline.transcript import SAMPLE_RATE

Sound = tuple[str, bytes, str]  # a file's name, its bytes and its media type

_SMALL = 30 * 2 * SAMPLE_RATE  # bytes sent as they are, which every server reads
_HEADER = 44  # bytes of a WAV
_STEP = SAMPLE_RATE // 50  # samples, 20 ms
_SMOOTHED = 8  # steps


def as_file(pcm: bytes, *, containers: Collection[str], most: int) -> Sound | None:
    """s16le mono 16 kHz as WAV, as FLAC where that is long, as mp3 where that is too large.

    None when it cannot be made to have at most `most` bytes: then the sound has to be cut. Raises SandboxFailed.
    """
    if len(pcm) + _HEADER <= most and (len(pcm) <= _SMALL or "flac" not in containers):
        return _wav(pcm)
    for container in ("flac", "mp3"):
        if container in containers and len(file := compress(pcm, container)) <= most:
            return f"audio.{container}", file, MEDIA_TYPES[container]
    return _wav(pcm) if len(pcm) + _HEADER <= most else None


def quietest(pcm: bytes) -> int:
    """The sample at which to cut in two: the middle of the quietest 160 ms of the middle half, the most central of equals."""
    samples = np.frombuffer(pcm, dtype="<i2")
    steps = samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP).astype(np.float32)
    if len(steps) < _SMOOTHED:
        return len(samples) // 2
    power = np.convolve((steps**2).mean(axis=1), np.ones(_SMOOTHED), mode="same")
    first, last = len(power) // 4, 3 * len(power) // 4
    off_centre = np.abs(np.arange(first, last) - len(power) / 2)
    best = int(np.lexsort((off_centre, power[first:last].round()))[0])
    return (first + best) * _STEP + _STEP // 2


def _wav(pcm: bytes) -> Sound:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return "audio.wav", held.getvalue(), "audio/wav"
