"""What lives in the engine process of the voices: the model, and the comparing of all windows of a recording."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.onnx_session import FAILURES, session, session_if_there
from pipeline.errors import ProviderRefused, ProviderUnavailable
from pipeline.speakers.channel_offset import without_channel
from pipeline.speakers.comparison import compared
from pipeline.speakers.excerpts import LONG
from pipeline.speakers.filterbank import filterbanks
from pipeline.speakers.mixed_voices import classes_of
from pipeline.weights.voices import INSTALL, MODEL, SEGMENTS

_BATCH = 8  # windows at once: more are not quicker, and take memory
_LOG = logging.getLogger(__name__)


class VoiceReader:
    """Holds the model. Places are samples; vectors are float16, as they are kept."""

    def __init__(self, folder: str, threads: int) -> None:
        try:
            self._session = session(Path(folder) / MODEL, threads)
        except FAILURES as error:
            _LOG.warning("the voices' model cannot be loaded", exc_info=error)
            told = f"The voices' model cannot be loaded: `stenopool models verify`, then `{INSTALL}`"
            raise ProviderRefused(told, provider="speakers") from None
        self._segments = session_if_there(Path(folder) / SEGMENTS, threads)

    def warm(self) -> bool:
        """It is, once it is made. Whether the second network is there, too."""
        return self._segments is not None

    def measure(self, pieces: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """For each piece, a vector of each of its `windows`, which are [first, last) in its `pcm`. Raises ProviderUnavailable."""
        return [self._vectors(piece["pcm"], piece["windows"]).astype("<f2").tobytes() for piece in pieces]

    def segment(self, sounds: Sequence[bytes]) -> list[bytes]:
        """For each 10 s of sound the classes of its frames (pipeline.speakers.mixed_voices); nothing without the second network."""
        if self._segments is None:
            return [b"" for _ in sounds]
        heard = [np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32768) for sound in sounds]
        try:
            return [classes_of(self._segments.run(None, {"sound": one[None, None]})[0][0]) for one in heard]
        except FAILURES as error:
            _LOG.warning("the second network failed; voices are told apart without it", exc_info=error)
            return [b"" for _ in sounds]

    def compare(self, *given: Any) -> dict[str, Any]:
        """As `compared`."""
        return compared(*given)

    def _failed(self, error: Exception) -> ProviderUnavailable:
        _LOG.warning("the voices' model failed", exc_info=error)
        return ProviderUnavailable("The voices' model failed at this sound", provider="speakers")

    def _vectors(self, pcm: bytes, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        frames = np.stack([_frames(pcm[2 * first : 2 * last]) for first, last in windows])
        features = np.asarray(frames - frames.mean(axis=1, keepdims=True), np.float32)
        batches = [features[at : at + _BATCH] for at in range(0, len(features), _BATCH)]
        try:
            found = np.concatenate([self._session.run(None, {"features": batch})[0] for batch in batches])
        except FAILURES as error:
            raise self._failed(error) from None
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return without_channel(found / np.maximum(lengths, 1e-6), frames)


def _frames(pcm: bytes) -> NDArray[np.float32]:
    """Of one window; a shorter one is repeated until it is as long as one is."""
    return filterbanks((pcm * -(-2 * LONG // len(pcm)))[: 2 * LONG])
