"""Two channels into one, so that nothing of either is lost.

Where both hold the same sound in opposite phase, as wrongly wired phones and some recorders leave it, their sum is silence, and
their difference is the sound. Which of the two is taken is decided every 50 ms, and kept where the channels have nothing in common:
there it makes no difference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW = 0.05  # seconds
_EVERY = 2  # samples that are compared; what they have in common shows in half of them
_ALIKE = 0.3  # correlation from which the sign is certain
_CANCELLED = 0.1  # of the louder channel's power: what is left of a sum that cancels, 10 dB down
_AUDIBLE = 10.0  # units of 16 bits, rms


class Mixdown:
    """Stereo s16le in blocks of any size, mono out. `cancelled`: between which samples sound would have been lost, if any."""

    def __init__(self, rate: int, before: int = 0) -> None:
        """`before`: samples, whole windows, that were left out in front."""
        self.cancelled: tuple[int, int] | None = None
        self.cancelled_samples = 0
        self._window = round(rate * WINDOW)
        self._sign, self._count = 1, before
        self._rest = b""

    def add(self, data: bytes) -> bytes:
        """As much as is whole windows."""
        data = self._rest + data
        whole = len(data) - len(data) % (4 * self._window)
        self._rest = data[whole:]
        return self._mixed(data[:whole]) if whole else b""

    def finish(self) -> bytes:
        """The last window, however short."""
        rest, self._rest = self._rest, b""
        padding = bytes(-len(rest) % (4 * self._window))
        return self._mixed(rest + padding)[: len(rest) // 2] if rest else b""

    def _mixed(self, data: bytes) -> bytes:
        channels = np.frombuffer(data, "<i2").reshape(-1, self._window, 2)
        left, right = channels[:, :, 0].astype(np.int32), channels[:, :, 1].astype(np.int32)
        signs = self._signs(left[:, ::_EVERY].astype(np.float32), right[:, ::_EVERY].astype(np.float32))
        if (signs < 0).any():
            right *= signs[:, np.newaxis]
        self._count += left.size
        return ((left + right) >> 1).clip(-32_768, 32_767).astype("<i2").tobytes()

    def _signs(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.int32]:
        """1 or -1 for each window."""
        mine, theirs, common = (
            np.einsum("ws,ws->w", one, other) for one, other in ((left, left), (right, right), (left, right))
        )
        certain = np.abs(common) > _ALIKE * np.sqrt(mine * theirs) + 1.0
        signs = np.where(certain, np.sign(common), 0).astype(np.int32)
        for at in np.flatnonzero(signs == 0):
            signs[at] = signs[at - 1] if at else self._sign
        self._sign = int(signs[-1])
        self._note(mine, theirs, common)
        return signs

    def _note(self, mine: NDArray[np.float32], theirs: NDArray[np.float32], common: NDArray[np.float32]) -> None:
        loud = np.maximum(mine, theirs)
        audible = loud > _AUDIBLE**2 * (self._window // _EVERY)
        lost = np.flatnonzero(audible & ((mine + theirs + 2 * common) / 4 < _CANCELLED * loud))
        if len(lost):
            first = self._count + int(lost[0]) * self._window
            last = self._count + (int(lost[-1]) + 1) * self._window
            self.cancelled = (self.cancelled[0] if self.cancelled else first, last)
            self.cancelled_samples += len(lost) * self._window
