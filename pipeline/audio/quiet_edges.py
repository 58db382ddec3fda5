"""The silence that a voice leaves before and after what it says."""

from __future__ import annotations

import numpy as np

_LEAD_MS, _TAIL_MS, _FADE_MS = 20, 60, 5
_QUIET = 0.01 * 32768


def without_quiet_edges(pcm: bytes, rate: int) -> tuple[bytes, int]:
    """s16le mono sound without the silence around it, faded in and out, and how many ms went at its beginning."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _QUIET)
    if not len(loud):
        return pcm, 0
    first = max(0, int(loud[0]) - _LEAD_MS * rate // 1000)
    last = min(len(samples), int(loud[-1]) + 1 + _TAIL_MS * rate // 1000)
    kept = samples[first:last].astype(np.float32)
    fade = min(_FADE_MS * rate // 1000, len(kept) // 2)
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    kept[:fade] *= ramp
    kept[len(kept) - fade :] *= ramp[::-1]
    return np.rint(kept).astype("<i2").tobytes(), round(1000 * first / rate)
