"""The model itself, which lives in an engine process: phonemes and a style into 24 kHz sound."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.quiet_edges import without_quiet_edges
from pipeline.audio.time_stretch import stretched
from pipeline.engines.onnx_session import FAILURES, session
from pipeline.errors import ProviderRefused, ProviderUnavailable
from pipeline.kokoro.folder import MODEL, SAMPLE_RATE, STYLES, VOCABULARY
from pipeline.kokoro.loudness import levelled
from pipeline.kokoro.phonemes import Phonemizer
from pipeline.text.text_splitter import sentences

_LONGEST = 114  # phonemes, some 8 s of sound: what the model needs of memory grows with it
_SLOWEST, _FASTEST = 0.5, 2.0  # what the model does well by itself
_LOG = logging.getLogger(__name__)


class Synthesizer:
    """Holds the model, its styles and the library that knows the phonemes."""

    def __init__(self, folder: str, threads: int) -> None:
        self._phonemizer = Phonemizer()
        try:
            self._session = session(Path(folder) / MODEL, threads)
            with np.load(Path(folder) / STYLES, allow_pickle=False) as styles:
                self._styles = {name: styles[name] for name in styles.files}
            self._numbers: Mapping[str, int] = json.loads((Path(folder) / VOCABULARY).read_bytes())["vocab"]
        except (*FAILURES, OSError, ValueError, KeyError, EOFError) as error:
            _LOG.warning("Kokoro's model cannot be loaded", exc_info=error)
            told = "The voice's model cannot be loaded: `stenopool models verify` tells whether it is damaged"
            raise ProviderRefused(told, provider="kokoro") from None

    def warm(self) -> None:
        """It is, once it is made."""

    def say(self, text: str, mixture: Mapping[str, float], speed: float) -> bytes:
        """s16le mono sound without silence around it; nothing for a text that has no sound. Raises ProviderUnavailable."""
        spoken = [
            self._sound(piece, mixture, speed)
            for piece in sentences(self._phonemizer.phonemes(text), longest=_LONGEST)
            if any(letter.isalpha() for letter in piece)
        ]
        return b"".join(without_quiet_edges(pcm, SAMPLE_RATE)[0] for pcm in spoken)

    def _sound(self, phonemes: str, mixture: Mapping[str, float], speed: float) -> bytes:
        numbers = [self._numbers[letter] for letter in phonemes if letter in self._numbers]
        own_speed = min(max(speed, _SLOWEST), _FASTEST)
        asked = {
            "tokens": np.array([[0, *numbers, 0]], np.int64),
            "style": self._style(mixture, len(numbers)),
            "speed": np.array([own_speed], np.float32),
        }
        try:
            (sound,) = self._session.run(None, asked)
        except FAILURES as error:
            _LOG.warning("Kokoro failed", exc_info=error)
            raise ProviderUnavailable("The model failed at this text", provider="kokoro") from None
        pcm = np.rint(np.clip(levelled(np.ravel(sound)), -1, 1) * 32767).astype("<i2").tobytes()
        return pcm if own_speed == speed else b"".join(stretched([pcm], own_speed / speed, SAMPLE_RATE))

    def _style(self, mixture: Mapping[str, float], phonemes: int) -> NDArray[np.float32]:
        """The weighted mean of the vectors for a phrase of this length, as a batch of one."""
        whole = sum(mixture.values())
        parts = [
            self._styles[name][min(phonemes, len(self._styles[name]) - 1)] * (share / whole)
            for name, share in mixture.items()
        ]
        return np.asarray(np.sum(parts, axis=0), np.float32).reshape(1, -1)
