"""A perfect provider: it speaks words as tone patterns and reads them back, so that a test knows the truth to the sample.

It ships with the product for demos, tests and load tests; see `pipeline.oracle.speech`. Settings in `[providers.<name>]`:

    max_s, min_s     how long its chunks may be, in seconds
    remote = true    it counts as somebody else's machine, for the io workers
    log = "file"     one line per call: monotonic seconds and the SHA-1 of the sound (or of the text to speak)
    scripted = true  a request may order faults in its `prompt` (for speech in `instructions`), as in "oracle: latency=0.5 die=1"

The orders, which apply to each chunk by itself:

    latency=S        answer after S seconds
    until=NAME       answer once a file of that name stands beside the log
    hang=S           sleep S seconds at the first call only
    fail=N           raise at the first N calls; error=refused|unavailable|busy|nonsense|lost says what (unavailable)
    die=N            kill this process with SIGKILL at the first N calls
    at=WORD          wait for a file, fail, hang and die only for a chunk in which the word is heard
    detail=segment   without word times; detail=text: one text for the whole chunk
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from pipeline.cut.cutter import CutProfile
from pipeline.engines.engine_placement import Engines
from pipeline.errors import (
    EngineLost,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
    UnsupportedValue,
)
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.oracle.ear import listen
from pipeline.oracle.speech import say
from pipeline.oracle.words import in_vocabulary
from pipeline.providers.base import OPENAI_VOICES, Provider, phrases
from pipeline.text.text_splitter import sentences
from pipeline.transcript import Heard, Segment, Word, samples_to_ms

MODEL = "oracle"
HUM_HZ: Mapping[str, float] = {voice: 110.0 + 9.0 * nth for nth, voice in enumerate(OPENAI_VOICES)}
_SPEAKING_RATE = 24_000  # Hz
_WORD_S, _STEP_S = 0.34, 0.40  # a word's mean length, and from word to word at speed 1
_SENTENCE_PAUSE_S = 0.4
_LONGEST_PIECE = 1000  # characters
_PHRASE_PAUSE_MS = 250  # words are 20 to 80 ms apart, phrases 300 ms and more
_LOOK_S = 0.02  # how often it looks for the file that it waits for
_ERRORS: Mapping[str, type[ProviderError]] = {
    "refused": ProviderRefused,
    "unavailable": ProviderUnavailable,
    "busy": ProviderBusy,
    "nonsense": ProviderNonsense,
    "lost": EngineLost,
}


@dataclass(frozen=True)
class Script:
    """The faults that one request orders."""

    latency: float = 0.0
    until: str = ""
    hang: float = 0.0
    fail: int = 0
    die: int = 0
    error: Literal["refused", "unavailable", "busy", "nonsense", "lost"] = "unavailable"
    at: str = ""
    detail: Literal["word", "segment", "text"] = "word"

    @classmethod
    def read(cls, text: str | None) -> Script:
        """What follows "oracle:" in the text. Raises ProviderRefused for an order that makes no sense."""
        _, _, orders = (text or "").partition("oracle:")
        try:
            return _SCRIPT.validate_python(dict(re.findall(r"(\w+)=(\S+)", orders)))
        except ValidationError as error:
            raise ProviderRefused(f"The oracle cannot follow {orders!r}", provider="oracle") from error


_SCRIPT = TypeAdapter(Script)


@dataclass
class Calls:
    """How often each sound or text has come; with a log, across processes and their deaths."""

    log: Path | None = None
    _seen: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, content: bytes) -> int:
        """Note a call; returns how many came before it with the same content."""
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        with self._lock:
            before = self._logged(digest) if self.log else self._seen[digest]
            self._seen[digest] += 1
        return before

    def _logged(self, digest: str) -> int:
        assert self.log
        descriptor = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            before = sum(line.endswith(f" {digest}\n".encode()) for line in file)
            os.write(
                descriptor, f"{time.monotonic():.6f} {digest}\n".encode()
            )  # one write: appended whole or not at all
        return before


class Oracle:
    """Hears and speaks."""

    name = "oracle"
    sample_rate = _SPEAKING_RATE

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.local = not config.get("remote", False)
        self.profile = CutProfile(max_s=float(config.get("max_s", 30.0)), min_s=float(config.get("min_s", 10.0)))
        self._scripted = bool(config.get("scripted", False))
        self._log = Path(config["log"]) if config.get("log") else None
        self._calls = Calls(self._log)

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """Every whole word with its exact time, and BROKEN for every other. Raises only what the request's script orders."""
        script = self._script(options.prompt)
        before = self._calls.note(pcm)
        words = [
            Word(word.text, samples_to_ms(word.start), samples_to_ms(word.end), confidence=word.confidence)
            for word in listen(pcm)
        ]
        self._act(script, before, {word.text for word in words})
        segments = tuple(phrases(words, pause_ms=_PHRASE_PAUSE_MS))
        return Heard(_told(segments, script.detail, samples_to_ms(len(pcm) // 2)), language="en", model_used=MODEL)

    def speak(self, options: SpeechOptions, model: str) -> Iterator[bytes]:
        """One block per sentence. Raises UnsupportedValue for an unknown voice or a text without a letter it knows."""
        if options.voice not in HUM_HZ:
            raise UnsupportedValue(f"No voice is called {options.voice!r}. Voices: {', '.join(HUM_HZ)}", param="voice")
        spoken = [list(in_vocabulary(sentence)) for sentence in sentences(options.input, longest=_LONGEST_PIECE)]
        if not any(spoken):
            raise UnsupportedValue("The oracle speaks Latin letters and digits only", param="input")
        before = self._calls.note(options.input.encode("utf-8", errors="replace"))
        self._act(self._script(options.instructions), before, {word for words in spoken for word in words})
        gap = max(0.0, _STEP_S / options.speed - _WORD_S)
        edge = _SENTENCE_PAUSE_S / 2 / options.speed
        hum = HUM_HZ[options.voice]
        return (say(words, sample_rate=_SPEAKING_RATE, gap_s=gap, hum_hz=hum, edge_s=edge) for words in spoken if words)

    def _script(self, text: str | None) -> Script:
        return Script.read(text) if self._scripted else Script()

    def _act(self, script: Script, before: int, words: set[str]) -> None:
        time.sleep(script.latency)
        if script.at and script.at not in words:
            return
        while script.until and self._log and not self._log.with_name(Path(script.until).name).exists():
            time.sleep(_LOOK_S)
        if script.hang and not before:
            time.sleep(script.hang)
        if before < script.die:
            os.kill(os.getpid(), signal.SIGKILL)
        if before < script.fail:
            raise _ERRORS[script.error](provider=self.name)


def _told(segments: tuple[Segment, ...], detail: str, duration: int) -> tuple[Segment, ...]:
    if detail == "text" and segments:
        return (Segment(" ".join(segment.text for segment in segments), 0, duration),)
    if detail == "segment":
        return tuple(Segment(segment.text, segment.start, segment.end) for segment in segments)
    return segments


def open_provider(config: Mapping[str, Any], engines: Engines) -> Provider:
    """The oracle computes in numpy, which lets go of the GIL: it needs no engine process."""
    oracle = Oracle(config)
    return Provider(transcriber=oracle, speaker=oracle)
