"""What can be measured about speech in 30 ms of sound, and where speech is in a run of such frames.

Three independent witnesses, because each fails somewhere. WebRTC's detector (it comes with PocketSphinx) finds pauses well, but
takes any loud noise for speech and never hears a whisper. The energy over the noise floor says nothing where there is no pause.
What noise of any colour and level cannot imitate is *liveliness*: several frequency bands jumping together, as at every onset of a
syllable. So a frame counts as speech when it is loud enough for where it is and lively around it; WebRTC only helps to find
pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from pipeline.transcript import SAMPLE_RATE

FRAME = 480  # samples, 30 ms: the longest WebRTC's detector takes, and enough for bands of 200 Hz
BATCH = 32  # frames that share their levels, aligned to the recording, so that the reader's block sizes change nothing
AT_ONCE = 8 * BATCH  # frames measured at once: for fewer, numpy's overhead is more than the work
ROOM_HALF_LIFE = 30.0  # seconds after which a level counts half in the percentiles
SPEECH_HALF_LIFE = 300.0  # the same for the loudness of speech, which is remembered through long silences
LOOK_AHEAD = 8  # batches: levels of a frame know its past and about this much of its future
INAUDIBLE = 5.0  # dB over one unit of 16 bits (rms): rounding and dither live below, no speech does

_IN_CACHE = 128  # frames whose spectra the processor's cache holds
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
        return Frames(*[column[part] for column in _columns(self)])


_columns: Callable[[Frames], tuple[NDArray[Any], ...]] = attrgetter(*(field.name for field in fields(Frames)))


def joined(parts: Iterable[Frames]) -> Frames:
    """Consecutive measurements as one; at least one part."""
    return Frames(*map(np.concatenate, zip(*map(_columns, parts), strict=True)))


class SpeechDetector:
    """Measures a recording piece by piece; remembers percentiles, never samples."""

    def __init__(self) -> None:
        self._webrtc: Any = pocketsphinx.Vad(mode=3, sample_rate=SAMPLE_RATE, frame_length=FRAME / SAMPLE_RATE)
        self._spectra = _Spectra()
        self._before: NDArray[np.float32] | None = None
        self._room, self._speech = Levels(ROOM_HALF_LIFE), Levels(SPEECH_HALF_LIFE)

    def measure(self, pcm: bytes) -> list[Frames]:
        """The next frames of s16le mono, at most AT_ONCE, batch by batch; each piece but the last is of whole batches.

        A last incomplete frame is filled up with silence.
        """
        pcm += bytes(-len(pcm) % (2 * FRAME))
        decibels = self._spectra.decibels(np.frombuffer(pcm, dtype="<i2").reshape(-1, FRAME))
        energy = decibels[:, -1]
        path = self._path(decibels[:, :-1])
        jump = _jumps(path)
        floor, peak = self._levels(energy, jump)
        frames = Frames(energy, self._voiced(pcm), jump, _rise(path, peak), floor, peak)
        return [frames[at : at + BATCH] for at in range(0, len(frames), BATCH)]

    def _levels(
        self, energy: NDArray[np.float32], jump: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Each frame's floor and peak, as they are after its batch.

        The peak is that of lively frames, however long ago, if they were louder.
        """
        self._room.add(energy, energy > 0)  # digital silence says nothing about the room
        self._speech.add(energy, (energy > 0) & jump)
        floor, peak = self._room.percentile(0.10), self._room.percentile(0.95)
        spoken = np.where(self._speech.frames > _FEW, self._speech.percentile(0.95), peak)
        return self._room.each_frame(floor), self._room.each_frame(np.maximum(peak, spoken))

    def _voiced(self, pcm: bytes) -> NDArray[np.bool_]:
        step, is_speech = 2 * FRAME, self._webrtc.is_speech
        return np.array([is_speech(pcm[at : at + step]) for at in range(0, len(pcm), step)], dtype=np.bool_)

    def _path(self, bands: NDArray[np.float32]) -> NDArray[np.float32]:
        """The bands of these frames and of the two before."""
        bands = np.maximum(bands, _BAND_FLOOR)
        path = np.concatenate((bands[[0, 0]] if self._before is None else self._before, bands))
        self._before = path[-2:]
        return path


class _Spectra:
    """The levels of the bands. Its memory is used again for each piece: fetching it anew takes longer than the transform.

    In double precision, because numpy's transform knows no other; sums and no matrix product, because for that numpy wakes
    threads, which take from ffmpeg what they save here.
    """

    def __init__(self) -> None:
        self._window = np.hanning(FRAME)
        self._windowed = np.empty((_IN_CACHE, FRAME))
        self._spectrum = np.empty((_IN_CACHE, FRAME // 2 + 1), dtype=np.complex128)
        self._starts = np.searchsorted(np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE), _BAND_EDGES)
        power = (self._window**2).sum()
        self._per_band, self._per_frame = 1 / np.diff(self._starts) / power, 2 / FRAME / power

    def decibels(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """One row per frame: each band's mean power, and last everything above 100 Hz."""
        powers = np.concatenate(
            [self._powers(samples[at : at + _IN_CACHE]) for at in range(0, len(samples), _IN_CACHE)]
        )
        return (10 * np.log10(powers + 1e-2)).astype(np.float32)

    def _powers(self, samples: NDArray[np.int16]) -> NDArray[np.float64]:
        windowed, spectrum = self._windowed[: len(samples)], self._spectrum[: len(samples)]
        np.multiply(samples, self._window, out=windowed)
        np.fft.rfft(windowed, axis=1, out=spectrum)
        parts = spectrum.view(np.float64)  # real and imaginary
        np.square(parts, out=parts)
        powers: NDArray[np.float64] = np.add.reduceat(parts, 2 * self._starts, axis=1)  # last what lies above the bands
        powers[:, -1] = powers.sum(axis=1) * self._per_frame
        powers[:, :-1] *= self._per_band
        return powers


def _jumps(path: NDArray[np.float32]) -> NDArray[np.bool_]:
    change = path[2:] - path[:-2]
    together = np.maximum((change > _JUMP).sum(axis=1), (change < -_JUMP).sum(axis=1))
    return np.asarray(together >= _JUMPING_BANDS)


def _rise(path: NDArray[np.float32], peak: NDArray[np.float32]) -> NDArray[np.float32]:
    faint = (peak - _FAINT)[:, np.newaxis]
    rise = np.maximum(path[2:], faint) - np.maximum(path[1:-1], faint)
    return np.asarray(np.clip(rise, 0.0, LARGEST_RISE).mean(axis=1), dtype=np.float32)


class Levels:
    """The distribution of recent frame energies, after each batch of a piece: a histogram of 1 dB steps that forgets."""

    def __init__(self, half_life: float) -> None:
        self._kept = 0.5 ** (FRAME / SAMPLE_RATE / half_life)
        self._last = np.zeros(_STEPS)
        self._lengths = np.zeros(0, dtype=np.intp)  # frames of each batch
        self._totals = np.zeros((0, _STEPS))  # of each batch: how many frames are at most so loud

    def add(self, energy: NDArray[np.float32], heard: NDArray[np.bool_]) -> None:
        """Take in a piece; what was not heard only passes time."""
        batches = np.arange(len(energy)) // BATCH
        self._lengths = np.bincount(batches)
        steps = (energy.astype(np.intp) + _STEPS * batches)[heard]
        counts = np.bincount(steps, minlength=_STEPS * len(self._lengths)).reshape(-1, _STEPS).astype(np.float64)
        for batch, kept in enumerate(self._kept**self._lengths):
            counts[batch] += self._last * kept
            self._last = counts[batch]
        self._totals = counts.cumsum(axis=1)

    @property
    def frames(self) -> NDArray[np.float64]:
        """How many frames are remembered after each batch, older ones counting less."""
        return self._totals[:, -1]

    def percentile(self, share: float) -> NDArray[np.float64]:
        """After each batch, in dB, the upper end of its step; INAUDIBLE where nothing was heard."""
        steps = (self._totals < share * self.frames[:, np.newaxis]).sum(axis=1)
        return np.where(self.frames < _FORGOTTEN, INAUDIBLE, steps + 1.0)

    def each_frame(self, levels: NDArray[np.float64]) -> NDArray[np.float32]:
        """The same for each frame of the piece."""
        return np.repeat(levels, self._lengths).astype(np.float32)


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
