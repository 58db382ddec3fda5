"""WAV: the samples that are there, whatever its sizes say (a recorder that streams writes none)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.wav_format import BESIDE_SOUND
from pipeline.audio.containers.wav_layout import sample_layout
from pipeline.audio.duration.frame_count import ENOUGH_LEVELS, MOST_CHANNELS, Extent
from pipeline.audio.step_budget import StepBudget

_PCM, _FLOAT = 1, 3
_TYPES = {(_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4"}  # others are measured, not listened to
_WIDTHS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_FRAMES_A_SECOND = 32
_UNSAID = (0, 0xFFFFFFFF)
_LEAST_BEHIND = 1024  # bytes; fewer hold no sound
_STEREO = 2
_WINDOWS_A_SECOND = 10  # in which channels are compared
_AUDIBLE = 1e-4  # of the loudest window's power: 40 dB below it
_CANCELLED = 0.1  # of the louder channel's power: 10 dB below it


def extent(data: bytes, steps: StepBudget) -> Extent | None:
    """None for everything but linear PCM of one to eight channels."""
    offset, layout = 12, None
    while offset + 8 <= len(data):
        steps.take()
        name, size = struct.unpack_from("<4sI", data, offset)
        offset += 8
        if name == b"fmt ":
            layout = _layout(data[offset : offset + size])
        elif name == b"data":
            return _counted(data, offset, size, layout, steps) if layout else None
        elif name == b"ds64":  # sizes of 64 bits: larger than anything that is passed on
            return None
        offset += size + size % 2
    return None


def _layout(fmt: bytes) -> tuple[int, int, int, int] | None:
    """(kind, channels, Hz, bits)."""
    layout, (bits,) = sample_layout(fmt), struct.unpack_from("<H", fmt, 14)
    if layout is None or bits not in _WIDTHS.get(layout.kind, ()) or layout.channels > MOST_CHANNELS:
        return None
    is_true = not layout.is_mended and layout.block == layout.channels * bits // 8
    return (layout.kind, layout.channels, layout.rate, bits) if is_true else None


def _counted(
    data: bytes, offset: int, size: int, layout: tuple[int, int, int, int], steps: StepBudget
) -> Extent | None:
    kind, channels, rate, bits = layout
    there = len(data) - offset
    present = there if size in _UNSAID else min(size, there)
    ends_well = _ends_well(data, offset + size, steps)
    if there - present >= _LEAST_BEHIND and not ends_well:  # which may be sound as well
        return None
    samples = present // (channels * bits // 8)
    dtype = _TYPES.get((kind, bits))
    if dtype is None:
        return Extent(samples, rate)
    sound = np.frombuffer(data, dtype, count=samples * channels, offset=offset).reshape(-1, channels)
    levels = _levels(sound[:, 0], max(1, rate // _FRAMES_A_SECOND))
    plain = ends_well and (channels == 1 or not _cancels(sound, rate // _WINDOWS_A_SECOND))
    return Extent(samples, rate, levels, plain)


def _ends_well(data: bytes, at: int, steps: StepBudget) -> bool:
    """Whether known chunks follow the sound up to where the file ends, and its own length says so too."""
    stated = 8 + int.from_bytes(data[4:8], "little")
    while at + 8 <= len(data):
        steps.take()
        at += at % 2
        name, size = struct.unpack_from("<4sI", data, at)
        if name not in BESIDE_SOUND:
            return False
        at += 8 + size
    return at in (len(data), len(data) - 1) and abs(stated - len(data)) <= 1


def _cancels(sound: NDArray[np.number], length: int) -> bool:
    """Whether a mix of two channels is much softer somewhere than the louder of them; more channels are not compared.

    One channel alone loses 6 dB in the mix, two voices of equal strength 3 dB, two in opposite phase everything.
    """
    if sound.shape[1] != _STEREO or not length:
        return True
    whole = sound[: len(sound) // length * length].astype(np.float32).reshape(-1, length, _STEREO)
    with np.errstate(all="ignore"):  # floats may be infinite, or no numbers
        power = np.var(whole, axis=1).max(axis=1)
        mixed = np.var(whole.mean(axis=2), axis=1)
        heard = ~(power <= _AUDIBLE * power.max(initial=0.0))
        return not bool(np.all(mixed[heard] >= _CANCELLED * power[heard]))


def _levels(sound: NDArray[np.number], length: int) -> list[float]:
    """dB of frames of `length` samples, of at most so many, evenly spread."""
    frames = sound[: len(sound) // length * length].reshape(-1, length)
    frames = frames[:: max(1, len(frames) // ENOUGH_LEVELS)].astype(np.float32)
    scale = 1.0 if sound.dtype.kind == "f" else float(2 ** (8 * sound.itemsize - 1))
    with np.errstate(all="ignore"):  # floats may be infinite, or no numbers
        power = np.var(frames / scale, axis=1)
    found: list[float] = (10 * np.log10(np.nan_to_num(power, nan=0.0, posinf=0.0) + 1e-10)).tolist()
    return found
