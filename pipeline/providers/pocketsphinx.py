"""PocketSphinx with the American English model of its wheel: no key, no download, no network.

It hears English only, and makes every sound into some word of its dictionary. Its word error rate on read speech is 25 to 35 %.
Decoding takes a quarter to a half of the sound's length and holds the GIL all the while, hence the engine processes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.cut.cutter import CutProfile
from pipeline.engines.engine_placement import Engines
from pipeline.engines.engine_protocol import Engine, EngineSpec
from pipeline.options import TranscriptionOptions
from pipeline.providers.base import Provider, phrases
from pipeline.transcript import SAMPLE_RATE, Heard, Word

MODEL = "pocketsphinx-en-us"
_FRAME_MS = 10
_ALTERNATE = re.compile(r"\(\d+\)$")  # "and(2)" is the second pronunciation of "and"
_FILLERS = ("<", "[", "+")  # <s>, <sil>, [NOISE], ++UH++
_SHORTEST = SAMPLE_RATE // 20  # samples; below a few frames there is nothing to decode
_TIMEOUT_S, _TIMEOUT_PER_SECOND = 60.0, 10.0  # loading the model on a busy machine; twenty times slower than usual

# Seconds of sound. A chunk is normalised as a whole and so heard in one go, of 10 s and more: a clip must not wait for that.
_QUICK = 10.0

FoundWord = tuple[str, int, int, float]  # as the dictionary writes it, first frame, last frame, posterior


class Recogniser:
    """Lives in an engine process and holds the model (about 100 MB)."""

    def __init__(self) -> None:
        import pocketsphinx  # noqa: PLC0415 - only an engine's process ever loads the library

        self._decoder = pocketsphinx.Decoder(loglevel="FATAL", samprate=SAMPLE_RATE, cmn="batch")

    def decode(self, pcm: bytes) -> list[FoundWord]:
        """All words of one chunk, fillers included; the same for the same chunk, whatever was heard before."""
        self._decoder.reinit_feat()  # forgets the noise it has tracked so far, which would change the answer
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.seg() if self._decoder.hyp() else None
        return [(part.word, part.start_frame, part.end_frame, float(part.prob)) for part in found or ()]


class PocketSphinx:
    """Hears English; translation returns the English it hears."""

    name = "pocketsphinx"
    local = True
    profile = CutProfile(
        max_s=45.0, min_s=15.0
    )  # it normalises each chunk by its own mean: 30 s cost up to 2.5 points of WER

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """English words with times and posteriors. Raises EngineLost, ProviderBusy, ProviderError."""
        samples = len(pcm) // 2
        if samples < _SHORTEST:
            return Heard(language="en", model_used=MODEL)
        timeout = _TIMEOUT_S + _TIMEOUT_PER_SECOND * samples / SAMPLE_RATE
        found: list[FoundWord] = self._engine.call(
            "decode", pcm[: 2 * samples], timeout=timeout, cost=samples / SAMPLE_RATE
        )
        words = _words(found, duration=samples * 1000 // SAMPLE_RATE)
        return Heard(segments=tuple(phrases(words)), language="en", model_used=MODEL)


def _words(found: list[FoundWord], *, duration: int) -> Iterator[Word]:
    for text, first, last, posterior in found:
        if not text.startswith(_FILLERS):
            start, end = min(first * _FRAME_MS, duration), min((last + 1) * _FRAME_MS, duration)
            yield Word(_ALTERNATE.sub("", text), start, end, confidence=round(min(1.0, max(0.0, posterior)), 4))


def hears(_config: Mapping[str, Any], _model: str) -> tuple[str, ...]:
    """English, whatever is spoken."""
    return ("en",)


def pace(model: str) -> float:
    """On one processor."""
    return 0.3


def open_provider(config: Mapping[str, Any], engines: Engines) -> Provider:
    """No settings."""
    engine = engines.open(EngineSpec("pocketsphinx", f"{__name__}:{Recogniser.__name__}", quick=_QUICK))
    return Provider(transcriber=PocketSphinx(engine), resources=(engine,))
