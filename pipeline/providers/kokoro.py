"""Kokoro-82M on this machine by onnxruntime: a natural voice for English, no key, no network.

Settings in `[providers.<name>]`, with `kind = "kokoro"`:

    model               the folder in which model.onnx, voices.npz and vocab.json lie
    cpu_threads         threads of one model; 0: as onnxruntime likes
    processes           models at once in each of our processes
    timeout_s           seconds that a phrase may take, the first one with loading the model

The thirteen names of OpenAI's voices are fixed mixtures of the five styles that come with the weights, which have names of their
own, too. A text is spoken phrase by phrase, each of 8 s at most: the first one is heard early, and the memory stays small. The
next ones are spoken while those before are sent, a few of them ahead.

Another language than English, as the caller tells or the text itself proves, and a voice of eSpeak NG's are refused, so that the
next route speaks.
The model lives in an engine process (pipeline/engines) beside the library that makes the phonemes, which has global state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.concurrency.read_ahead import ReadAhead
from pipeline.engines.engine_placement import Engines
from pipeline.engines.engine_protocol import Engine, EngineSpec
from pipeline.errors import CatalogBroken, UnsupportedValue
from pipeline.kokoro.folder import FILES, SAMPLE_RATE
from pipeline.kokoro.voices import mixture
from pipeline.options import SpeechOptions
from pipeline.providers.base import Provider
from pipeline.text.languages import english_name
from pipeline.text.text_splitter import sentences
from pipeline.text.word_timing import Utterance, laid_over
from pipeline.text.written_language import written_language

_LONGEST_SENTENCE, _LONGEST_PHRASE = 2000, 110  # characters; a phrase is some 8 s of sound
_FIRST_PHRASE = 60  # characters; whoever listens waits for it
_SENTENCE_MS, _CLAUSE_MS, _WORD_MS = 350, 130, 30  # pauses at speed 1 behind what ends so
_PAUSES = (",", ";", ":", "—")
_CHARACTERS_PER_SECOND = 14.0
_NOTHING_TO_SAY = bytes(2 * SAMPLE_RATE // 4)  # a text without a single letter still gives a playable file


class Config(BaseModel):
    """How the model is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "kokoro"
    name: str = "kokoro"
    needs: tuple[str, ...] = ()
    model: str = ""
    cpu_threads: int = Field(0, ge=0)
    processes: int = Field(1, ge=1)
    timeout_s: float = Field(300.0, gt=0)


class Kokoro:
    """Speaks phrase by phrase."""

    local = True
    sample_rate = SAMPLE_RATE

    def __init__(self, config: Config, engine: Engine) -> None:
        self.name = config.name
        self._timeout = config.timeout_s
        self._engine = engine

    def speak(self, options: SpeechOptions, model: str) -> Iterator[bytes]:
        """One block per phrase. Raises UnsupportedValue (voice or language), EngineLost, ProviderBusy, ProviderError."""
        styles = mixture(options.voice)
        _check_language(options)
        return iter(ReadAhead(self._blocks(options, styles)))

    def recite(self, options: SpeechOptions, model: str) -> Iterator[Utterance]:
        """One utterance per sentence, its words laid over what sounds. Raises as `speak` does."""
        styles = mixture(options.voice)
        _check_language(options)
        for sentence in sentences(options.input, longest=_LONGEST_SENTENCE):
            sound = b"".join(self._sentence(sentence, styles, options.speed))
            yield laid_over(sentence, sound, SAMPLE_RATE)

    def _blocks(self, options: SpeechOptions, styles: Mapping[str, float]) -> Iterator[bytes]:
        pause, silent = b"", True
        for sentence in sentences(options.input, longest=_LONGEST_SENTENCE):
            for block in self._sentence(sentence, styles, options.speed, soon=silent):
                yield pause + block
                pause, silent = b"", False
            pause = b"" if silent else _silence(_SENTENCE_MS, options.speed)
        if silent:
            yield _NOTHING_TO_SAY

    def _sentence(
        self, sentence: str, styles: Mapping[str, float], speed: float, *, soon: bool = False
    ) -> Iterator[bytes]:
        pause = b""
        for phrase in phrases(sentence, soon=soon):
            cost = len(phrase) / _CHARACTERS_PER_SECOND / speed
            sound: bytes = self._engine.call("say", phrase, styles, speed, timeout=self._timeout, cost=cost)
            if sound:
                yield pause + sound
                pause = _silence(_CLAUSE_MS if phrase.endswith(_PAUSES) else _WORD_MS, speed)


def phrases(sentence: str, *, soon: bool = False) -> Iterator[str]:
    """What is spoken in one go, of 8 s at most; `soon`: the first one ends at the first pause, where there is one."""
    if soon and len(sentence) > _FIRST_PHRASE:
        first = next(sentences(sentence, longest=_FIRST_PHRASE))
        if first.endswith(_PAUSES):
            yield first
            sentence = _after(sentence, first)
    yield from sentences(sentence, longest=_LONGEST_PHRASE)


def _after(sentence: str, first: str) -> str:
    """What stands behind its first piece, which may have other white space."""
    left = len("".join(first.split()))
    for place, letter in enumerate(sentence):
        left -= not letter.isspace()
        if not left:
            return sentence[place + 1 :]
    return ""


def _silence(milliseconds: int, speed: float) -> bytes:
    return bytes(2 * round(milliseconds * SAMPLE_RATE / 1000 / speed))


def _check_language(options: SpeechOptions) -> None:
    language = options.language or written_language(options.input)
    if language not in ("", "en"):
        told = f"{english_name(language).title()} (`{language}`); `language` tells what it is"
        raise UnsupportedValue(f"Kokoro's voices speak English, and this text is taken for {told}", param="input")


def check(config: Mapping[str, Any]) -> Config:
    """Raises CatalogBroken for settings that make no sense."""
    try:
        return Config.model_validate(config)
    except ValidationError as error:
        raise CatalogBroken(f"a provider's {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None


def pace(model: str) -> float:
    """On two processors."""
    return 0.8


def trouble(config: Mapping[str, Any]) -> str:
    """What stands in the way on this machine and what to do, as far as that shows without loading anything; or nothing."""
    folder = Path(check(config).model)
    missing = [name for name in FILES if not (folder / name).is_file()]
    return f"`model` is a folder without {', '.join(missing)}: stenopool models install kokoro" if missing else ""


def open_provider(config: Mapping[str, Any], engines: Engines) -> Provider:
    """Raises CatalogBroken for settings that make no sense."""
    checked = check(config)
    target = "pipeline.kokoro.synthesizer:Synthesizer"
    spec = EngineSpec(checked.name, target, (checked.model, checked.cpu_threads), checked.processes)
    speaking = Kokoro(checked, engine := engines.open(spec))
    warm = partial(engine.call, "warm", timeout=checked.timeout_s)
    return Provider(speaker=speaking, resources=(engine,), warm=warm, has_line=engine.has_line)
