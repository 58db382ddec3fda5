"""Slower or faster speech at the same pitch, for engines that do not go as slow or as fast as they are asked to.

Waveform-similarity overlap-add (Verhelst and Roelands, 1993): overlapping windows of the sound are laid further apart or closer
together, each taken from where it best continues the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

_WINDOW_S = 0.040  # two to eight periods of a voice
_SEARCH_S = 0.012  # a little more than the longest period of a deep voice
_BLOCK_S = 0.25  # of sound, at least, that is stretched at once


def slower(pcm: bytes, factor: float, sample_rate: int) -> bytes:
    """s16le mono sound, `factor` times as long (1 or more)."""
    if factor <= 1 or len(pcm) // 2 < 2 * round(_WINDOW_S * sample_rate):
        return pcm
    return b"".join(stretched([pcm], factor, sample_rate))


def stretched(blocks: Iterable[bytes], factor: float, sample_rate: int) -> Iterator[bytes]:
    """s16le mono sound in blocks of whole samples, `factor` times as long; it comes while the blocks come."""
    stretch = _Stretch(factor, sample_rate)
    for block in blocks:
        yield from _written(stretch.take(np.frombuffer(block, dtype="<i2").astype(np.float64)))
    yield from _written(stretch.finish())


def _written(sound: NDArray[np.float64]) -> Iterator[bytes]:
    if len(sound):
        yield np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes()


class _Stretch:
    """The sound that is still needed, and the second half of the window that was laid last.

    `_at` and `_taken` are samples: where the next window goes in the result, and where the last one came from.
    """

    def __init__(self, factor: float, sample_rate: int) -> None:
        self._factor = factor
        self._hop, self._search = round(_WINDOW_S * sample_rate) // 2, round(_SEARCH_S * sample_rate)
        self._window = np.hanning(2 * self._hop + 1)[:-1]
        self._enough = round(_BLOCK_S * sample_rate)
        self._held, self._start = np.zeros(0), 0
        self._waiting: list[NDArray[np.float64]] = []
        self._received, self._at, self._taken = 0, 0, 0
        self._tail = np.zeros(self._hop)

    def take(self, sound: NDArray[np.float64]) -> NDArray[np.float64]:
        """What can be said for certain with this much more of the sound."""
        self._waiting.append(sound)
        self._received += len(sound)
        if sum(map(len, self._waiting)) < self._enough:
            return np.zeros(0)
        self._gather()
        return self._laid(self._received - self._search - 2 * self._hop)

    def finish(self) -> NDArray[np.float64]:
        """The rest."""
        self._waiting.append(np.zeros(3 * self._hop + 2 * self._search))
        self._gather()
        length, begun = round(self._received * self._factor), self._at
        laid = self._laid(self._received, until=length)
        return laid[: max(0, length - begun)]

    def _gather(self) -> None:
        self._held = np.concatenate([self._held, *self._waiting])
        self._waiting.clear()

    def _laid(self, latest: int, until: float = float("inf")) -> NDArray[np.float64]:
        """The windows that are wanted from before `latest` and go before `until`, as far as nothing comes on top of them."""
        out = [np.zeros(0)]
        while self._at < until:
            wanted = round(self._at / self._factor)
            if wanted > latest:
                break
            if self._at:
                self._taken = self._best_continuation(wanted)
            first = self._taken - self._start
            laid = self._held[first : first + 2 * self._hop] * self._window
            out.append(self._tail + laid[: self._hop])
            self._tail = laid[self._hop :]
            self._at += self._hop
        self._forget()
        return np.concatenate(out)

    def _best_continuation(self, wanted: int) -> int:
        """The start near `wanted` whose first half looks most like what would have followed naturally."""
        natural = self._taken + self._hop - self._start
        first = max(0, wanted - self._search)
        nearby = self._held[first - self._start : wanted - self._start + self._search + self._hop]
        likeness = np.correlate(nearby, self._held[natural : natural + self._hop], "valid")
        power = np.concatenate([[0.0], np.cumsum(nearby**2)])
        return first + int(np.argmax(likeness / np.sqrt(power[self._hop :] - power[: -self._hop] + 1.0)))

    def _forget(self) -> None:
        needed = min(self._taken + self._hop, max(0, round(self._at / self._factor) - self._search))
        self._held, self._start = self._held[max(0, needed - self._start) :], max(self._start, needed)
