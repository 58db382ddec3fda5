"""What can be measured about speech in 30 ms of sound, and where speech is in a run of such frames.

Three independent witnesses, because each fails somewhere. WebRTC's detector (it comes with PocketSphinx) finds pauses well, but
takes any loud noise for speech and never hears a whisper. The energy over the noise floor says nothing where there is no pause.
What noise of any colour and level cannot imitate is *liveliness*: several frequency bands jumping together, as at every onset of a
syllable. So a frame counts as speech when it is loud enough for where it is and lively around it; WebRTC only helps to find
pauses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from pipeline.transcript import SAMPLE_RATE

FRAME = 480  # samples, 30 ms: the longest WebRTC's detector takes, and enough for bands of 200 Hz
BATCH = 32  # frames measured at once, aligned to the recording, so that the reader's block sizes change nothing
ROOM_HALF_LIFE = 30.0  # seconds after which a level counts half in the percentiles
SPEECH_HALF_LIFE = 300.0  # the same for the loudness of speech, which is remembered through long silences
LOOK_AHEAD = 8  # batches: levels of a frame know its past and about this much of its future
INAUDIBLE = 5.0  # dB over one unit of 16 bits (rms): rounding and dither live below, no speech does

_BAND_EDGES = (
    100,
    300,
    500,
    700,
    1000,
    1350,
    1750,
    2250,
    2800,
    3400,
    4200,
    5500,
)  # Hz, roughly equal in pitch above 1 kHz
_BAND_FLOOR = 3.0  # dB; fluctuations below are arithmetic
_JUMP = 6.0  # dB within 60 ms ...
_JUMPING_BANDS = 3  # ... in this many bands in the same direction: 0.3 % of noise frames, 15 to 90 % of speech frames
_LIVELY_REACH = 16  # frames to either side
_LIVELY_JUMPS = 5  # of 33 frames: clicks of one a second and siren sweeps stay below, a lone "yes" does not
_SHORTEST_SOUND = 3  # frames; clicks are shorter, vowels are not
_STEPS = 100  # of 1 dB; a full-scale square wave has 90
_FORGOTTEN = 1e-6  # frames; what is left of a sound ten minutes ago
_LOUD = 12.0  # dB; everything this near to the loud frames is sound, however high the floor
LARGEST_RISE = 20.0  # dB from frame to frame; what begins out of nothing begins no harder
_FAINT = 50.0  # dB below the peak; what a band does below that is the room's own
_FEW = 5.0  # lively frames that are not enough to know how loud speech is


@dataclass(frozen=True, slots=True)
class Frames:
    """Measurements of consecutive frames, one entry each; levels in dB over one 16-bit unit."""

    energy: NDArray[np.float32]  # above 100 Hz, so that neither hum nor a DC offset counts
    voiced: NDArray[np.bool_]  # WebRTC's opinion
    jump: NDArray[np.bool_]  # whether bands jumped together here
    rise: NDArray[np.float32]  # dB by which the bands became louder since the frame before, on average
    floor: NDArray[np.float32]  # 10th percentile of the recent energies
    peak: NDArray[np.float32]  # 95th percentile of them

    def __len__(self) -> int:
        return len(self.energy)

    def __getitem__(self, part: slice) -> Frames:
        return Frames(*(getattr(self, field.name)[part] for field in fields(self)))


def joined(parts: Iterable[Frames]) -> Frames:
    """Consecutive measurements as one; at least one part."""
    columns = zip(*(tuple(getattr(part, field.name) for field in fields(Frames)) for part in parts), strict=True)
    return Frames(*(np.concatenate(column) for column in columns))


class SpeechDetector:
    """Measures a recording batch by batch; remembers percentiles, never samples."""

    def __init__(self) -> None:
        self._webrtc: Any = pocketsphinx.Vad(mode=3, sample_rate=SAMPLE_RATE, frame_length=FRAME / SAMPLE_RATE)
        self._bands, self._window = _band_weights(), np.hanning(FRAME).astype(np.float32)
        self._before: NDArray[np.float32] | None = None
        self._room, self._speech = Levels(ROOM_HALF_LIFE), Levels(SPEECH_HALF_LIFE)

    def measure(self, pcm: bytes) -> Frames:
        """The next frames of s16le mono; a last incomplete frame is filled up with silence."""
        pcm += bytes(-len(pcm) % (2 * FRAME))
        samples = np.frombuffer(pcm, dtype="<i2").reshape(-1, FRAME)
        spectrum = np.fft.rfft(samples * self._window, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) @ self._bands
        decibels = (10 * np.log10(power + 1e-2)).astype(np.float32)
        energy = decibels[:, -1]
        path = self._path(decibels[:, :-1])
        jump = _jumps(path)
        floor, peak = self._levels(energy, jump)
        everywhere = np.ones(len(energy), dtype=np.float32)
        return Frames(energy, self._voiced(pcm), jump, _rise(path, peak), floor * everywhere, peak * everywhere)

    def _levels(self, energy: NDArray[np.float32], jump: NDArray[np.bool_]) -> tuple[float, float]:
        """The floor and the peak after these frames; the peak is that of lively frames, however long ago, if they were louder."""
        self._room.add(energy)
        self._speech.add(energy[jump], len(energy))
        floor, peak = self._room.percentiles(0.10, 0.95)
        return floor, max(peak, *self._speech.percentiles(0.95)) if self._speech.frames > _FEW else peak

    def _voiced(self, pcm: bytes) -> NDArray[np.bool_]:
        step, is_speech = 2 * FRAME, self._webrtc.is_speech
        return np.array([is_speech(pcm[at : at + step]) for at in range(0, len(pcm), step)], dtype=np.bool_)

    def _path(self, bands: NDArray[np.float32]) -> NDArray[np.float32]:
        """The bands of these frames and of the two before."""
        bands = np.maximum(bands, _BAND_FLOOR)
        path = np.concatenate((bands[[0, 0]] if self._before is None else self._before, bands))
        self._before = path[-2:]
        return path


def _jumps(path: NDArray[np.float32]) -> NDArray[np.bool_]:
    change = path[2:] - path[:-2]
    together = np.maximum((change > _JUMP).sum(axis=1), (change < -_JUMP).sum(axis=1))
    return np.asarray(together >= _JUMPING_BANDS)


def _rise(path: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    heard = np.maximum(path[1:], peak - _FAINT)
    rise = np.minimum(np.maximum(heard[1:] - heard[:-1], 0.0), LARGEST_RISE)
    return np.asarray(rise.mean(axis=1), dtype=np.float32)


class Levels:
    """The distribution of recent frame energies: a histogram of 1 dB steps that forgets."""

    def __init__(self, half_life: float) -> None:
        self._counts = np.zeros(_STEPS)
        self._kept = 0.5 ** (FRAME / SAMPLE_RATE / half_life)

    def add(self, energy: NDArray[np.float32], passed: int | None = None) -> None:
        """Take in some frames, out of `passed` (default: as many) that went by."""
        heard = energy[energy > 0]  # digital silence says nothing about the room
        self._counts *= self._kept ** (len(energy) if passed is None else passed)
        self._counts += np.bincount(heard.astype(np.intp), minlength=_STEPS)

    @property
    def frames(self) -> float:
        """How many frames are remembered, older ones counting less."""
        return float(self._counts.sum())

    def percentiles(self, *shares: float) -> tuple[float, ...]:
        """In dB, the upper ends of their steps; INAUDIBLE where nothing was heard."""
        total = self._counts.cumsum()
        if total[-1] < _FORGOTTEN:
            return (INAUDIBLE,) * len(shares)
        return tuple((total.searchsorted(np.multiply(shares, total[-1])) + 1.0).tolist())


def sounding(frames: Frames) -> NDArray[np.bool_]:
    """Where something stands out of the floor, or everything, where the level is flat."""
    rise = np.clip(0.25 * (frames.peak - frames.floor), 2.5, 6.0)
    threshold = np.minimum(frames.floor + rise, frames.peak - _LOUD)
    return long_runs(frames.energy > np.maximum(threshold, INAUDIBLE), _SHORTEST_SOUND)


def speech(frames: Frames) -> NDArray[np.bool_]:
    """Where speech is: sound of some length in a lively neighbourhood."""
    counts = np.concatenate(([0], np.cumsum(frames.jump)))
    at = np.arange(len(frames))
    end, start = np.minimum(at + _LIVELY_REACH + 1, len(frames)), np.maximum(at - _LIVELY_REACH, 0)
    lively = counts[end] - counts[start] >= _LIVELY_JUMPS
    return long_runs(sounding(frames) & lively, _SHORTEST_SOUND)


def runs(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The stretches of True as rows of [first, last + 1]."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return edges.reshape(-1, 2)


def long_runs(flags: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """The same without the stretches shorter than `least`."""
    kept = np.zeros(len(flags) + 1, dtype=np.int8)
    stretches = runs(flags)
    stretches = stretches[stretches[:, 1] - stretches[:, 0] >= least]
    kept[stretches[:, 0]], kept[stretches[:, 1]] = 1, -1
    return kept.cumsum()[:-1].astype(np.bool_)


def _band_weights() -> NDArray[np.float32]:
    """From a power spectrum to mean powers per band and, last, the power of everything above 100 Hz."""
    frequencies = np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE)
    window_power = float((np.hanning(FRAME) ** 2).sum())
    columns = []
    for low, high in pairwise(_BAND_EDGES):
        inside = (frequencies >= low) & (frequencies < high)
        columns.append(inside / inside.sum() / window_power)
    columns.append(2 * (frequencies >= _BAND_EDGES[0]) / FRAME / window_power)
    return np.array(columns, dtype=np.float32).T
