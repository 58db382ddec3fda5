"""What lives in Whisper's engine process, the only one that loads the library: the models that were asked for.

The windows of a turn are decoded together, without time tokens and with the times of words: with time tokens a batch would drop
whatever follows the last one. Whisper's own voice detector is not used, and no text is dropped because the model takes a window for
silence. Where no language is told each window is heard in its own, so that a recording may change it in its middle.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from pipeline.errors import ProviderError, ProviderRefused, ProviderUnavailable, UnsupportedLanguage
from pipeline.options import TranscriptionOptions
from pipeline.whisper.alignment import aligned
from pipeline.whisper.config import Config
from pipeline.whisper.languages import LanguageChoice, ours
from pipeline.whisper.task import Task
from pipeline.whisper.window import WINDOW, Window

_AGAIN_S = 60.0  # after which a model that could not be loaded is tried once more
_LOG = logging.getLogger(__name__)


class Ear:
    """Made of a `Config`'s plain values."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = Config.model_validate(config)
        self._models: dict[str, WhisperModel] = {}
        self._damaged: dict[str, tuple[float, ProviderError]] = {}  # until when it is not tried again, and why

    def warm(self, wanted: str) -> bool:
        """Load a model before it is needed. Raises ProviderError."""
        return bool(self._model(wanted))

    def hear(self, sounds: Sequence[bytes], wanted: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A `Window` for each of these, as plain values. Raises ProviderError, UnsupportedLanguage."""
        task = self._task(wanted, asked)
        with self._failing_plainly():
            heard = task.heard([_samples(sound) for sound in sounds])
        return [WINDOW.dump_python(Window(language, tuple(found)), mode="json") for language, found in heard]

    def again(
        self, sound: bytes, wanted: str, asked: Mapping[str, Any], language: str, temperature: float
    ) -> dict[str, Any]:
        """Another `Window` for a sound that was heard in this language. Raises as `hear`."""
        task = self._task(wanted, asked)
        with self._failing_plainly():
            found = task.heard_alone(_samples(sound), language, temperature)
        return dict(WINDOW.dump_python(Window(language, tuple(found)), mode="json"))

    def _task(self, wanted: str, asked: Mapping[str, Any]) -> Task:
        model = self._model(wanted)
        options = TranscriptionOptions.model_validate({"model": wanted, **asked})
        choice = LanguageChoice(options, multilingual=model.model.is_multilingual)
        self._check(choice.told, model, wanted)
        return Task(model, self._config, options, choice)

    @contextmanager
    def _failing_plainly(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, ValueError, IndexError) as error:  # CUDA's lack of memory is a RuntimeError
            _LOG.warning("Whisper failed", exc_info=error)
            raise ProviderUnavailable("The model failed at this sound", provider=self._config.name) from None

    def align(self, sound: bytes, wanted: str, text: str, language: str | None) -> list[list[Any]]:
        """When the pieces of a text are said in a window of sound: `[text, ms, ms]` each. Raises ProviderError."""
        model = self._model(wanted)
        try:
            return aligned(model, _samples(sound), text, language)
        except (RuntimeError, ValueError, IndexError) as error:
            _LOG.warning("Whisper failed", exc_info=error)
            raise ProviderUnavailable("The model failed at this sound", provider=self._config.name) from None

    def _check(self, told: str | None, model: WhisperModel, wanted: str) -> None:
        if told and told not in model.supported_languages:
            offered = ", ".join(map(ours, model.supported_languages))
            message = f"The model {wanted.rpartition('/')[2]!r} does not hear this language, but: {offered}"
            raise UnsupportedLanguage(message, param="language")

    def _model(self, wanted: str) -> WhisperModel:
        until, why = self._damaged.get(wanted, (0.0, None))
        if why is not None and time.monotonic() < until:
            raise why
        if wanted not in self._models:
            try:
                self._models[wanted] = self._loaded(wanted)
            except ProviderError as error:
                self._damaged[wanted] = time.monotonic() + _AGAIN_S, error
                raise
        return self._models[wanted]

    def _loaded(self, wanted: str) -> WhisperModel:
        config = self._config
        try:
            return WhisperModel(
                wanted,
                device=config.device,
                compute_type=config.compute_type or _quickest(config.device),
                cpu_threads=config.cpu_threads,
                download_root=config.download_root or None,
                local_files_only=config.local_files_only,
            )
        except Exception as error:  # noqa: BLE001 - the hub's and the runtime's errors have no common ancestor
            _LOG.warning("Whisper's model cannot be loaded", exc_info=error)
            raise _unloadable(error, config) from None


def _samples(sound: bytes) -> NDArray[np.float32]:
    return np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32768)


def _quickest(device: str) -> str:
    on_card = device == "cuda" or (device == "auto" and ctranslate2.get_cuda_device_count() > 0)
    return "default" if on_card else "int8"


def _unloadable(error: Exception, config: Config) -> ProviderError:
    """An OSError is the network's or the hub's; anything else is a setting that cannot work here."""
    if isinstance(error, OSError) and not config.local_files_only:
        advice = "The model is not there and could not be downloaded: check `model`, or download it beforehand"
        return ProviderUnavailable(advice, provider=config.name)
    if isinstance(error, OSError):
        advice = "The model is not on this machine: download it, or let `local_files_only` be false"
        return ProviderRefused(advice, provider=config.name)
    advice = "The model cannot be loaded: check `model`, `device` and `compute_type`; the log says why"
    return ProviderRefused(advice, provider=config.name)
