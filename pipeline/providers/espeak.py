"""eSpeak NG, from the library and data in espeakng_loader's wheel: a hundred languages, no key, no download, no network.

The names of OpenAI's voices stand for thirteen voices of its own that are easy to tell apart. Any eSpeak voice passes
through: a language (`de`, `en-gb-scotland`), or one with a variant (`fr+m3`, `en-us+whisper`). A text in another language than
English, as the caller tells or the text itself proves, is spoken in that one, unless a voice of eSpeak's is asked for.

The library keeps its voice and its rate in global variables, hence the engine processes.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import espeakng_loader

from pipeline.audio.time_stretch import slower
from pipeline.engines.engine_placement import Engines
from pipeline.engines.engine_protocol import Engine, EngineSpec
from pipeline.errors import ProviderError, UnsupportedValue
from pipeline.options import SpeechOptions
from pipeline.providers.base import Provider
from pipeline.text.text_splitter import sentences
from pipeline.text.word_timing import Marks, Utterance, marked
from pipeline.text.written_language import written_language

SAMPLE_RATE = 22_050
_WORDS_PER_MINUTE = 175  # speed 1
_SLOWEST = 80  # words per minute; the library goes no slower, we stretch its sound
_LONGEST_PIECE = 300  # characters: some 20 s of sound, spoken in some 20 ms
_TIMEOUT_S = 60.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_NOTHING_TO_SAY = bytes(2 * SAMPLE_RATE // 4)  # a text without a single letter still gives a playable file

_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8, _END_PAUSE = 1, 0x1000
_CHARACTERS = 1
_NO_MORE, _WORD, _CLAUSE_END = 0, 1, 5  # kinds of events


@dataclass(frozen=True)
class Voice:
    """An eSpeak voice; `pitch` and `range` are 0 to 99 with 50 for the voice's own, `pace` multiplies the rate."""

    name: str
    pitch: int = 50
    range: int = 50
    pace: float = 1.0


VOICES: Mapping[str, Voice] = {
    "alloy": Voice("en-us"),
    "ash": Voice("en-us+m7", pitch=65),
    "ballad": Voice("en-gb-x-rp+m2", pitch=45, range=70, pace=0.9),
    "cedar": Voice("en-us+m3", pitch=20, pace=0.95),
    "coral": Voice("en-us+f2", pitch=55, range=70),
    "echo": Voice("en-us+m1", pitch=45, range=60),
    "fable": Voice("en+m5", pitch=60, range=90),
    "marin": Voice("en-us+f4", pitch=55),
    "nova": Voice("en-us+f3", pitch=65, range=70, pace=1.08),
    "onyx": Voice("en-us+m4", pitch=10, range=40, pace=0.92),
    "sage": Voice("en-us+f1", pitch=30, pace=0.95),
    "shimmer": Voice("en-us+f5", pitch=75, range=40),
    "verse": Voice("en-gb-scotland+m6", pitch=55, range=80),
}


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h; the position counts characters from 1."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("payload", ctypes.c_char * 8),
    )


class Synthesizer:
    """Lives in an engine process and holds the library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._sound = bytearray()
        self._begins: list[tuple[int, int]] = []
        self._rests: list[int] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
        self._callback = kind(self._take)  # the library keeps only the address: this reference keeps it alive
        data = espeakng_loader.get_data_path().encode()
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DO_NOT_EXIT)
        if rate != SAMPLE_RATE:
            raise ProviderError(f"eSpeak NG could not be started ({rate})", provider="espeak")
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: int | None, count: int, events: Any) -> int:
        if samples and count > 0:
            self._sound += ctypes.string_at(samples, 2 * count)
        for event in itertools.takewhile(lambda event: event.kind != _NO_MORE, events or ()):
            if event.kind == _WORD:
                self._begins.append((event.position - 1, event.milliseconds))
            elif event.kind == _CLAUSE_END:
                self._rests.append(event.milliseconds)
        return 0

    def say(self, text: str, voice: Sequence[Any], words_per_minute: float) -> bytes:
        """The text's sound, as fast as asked; `voice` has a `Voice`'s fields. Raises ProviderError when the library refuses."""
        return self.say_and_tell(text, voice, words_per_minute)[0]

    def say_and_tell(
        self, text: str, voice: Sequence[Any], words_per_minute: float
    ) -> tuple[bytes, list[tuple[int, int]], list[int]]:
        """The same with the library's own account of when it says what: what a `Marks` holds."""
        return self._said(text, Voice(*voice), words_per_minute)

    def _said(self, text: str, voice: Voice, words_per_minute: float) -> tuple[bytes, list[tuple[int, int]], list[int]]:
        rate = max(_SLOWEST, round(words_per_minute))
        body = text.encode("utf-8", errors="replace") + b"\0"
        for held in (self._sound, self._begins, self._rests):
            held.clear()
        refused = self._library.espeak_SetVoiceByName(voice.name.encode())
        for parameter, value in ((_RATE, rate), (_PITCH, voice.pitch), (_RANGE, voice.range)):
            refused = refused or self._library.espeak_SetParameter(parameter, value, 0)
        flags = _UTF8 | _END_PAUSE
        refused = refused or self._library.espeak_Synth(body, len(body), 0, _CHARACTERS, 0, flags, None, None)
        if refused:
            raise ProviderError(f"eSpeak NG refused the text ({refused})", provider="espeak")
        factor = max(1.0, rate / words_per_minute)
        begins = [(place, round(ms * factor)) for place, ms in self._begins]
        sound = slower(bytes(self._sound), factor, SAMPLE_RATE)
        return sound, begins, [round(ms * factor) for ms in self._rests]


class Espeak:
    """Speaks sentence by sentence."""

    name = "espeak"
    local = True
    sample_rate = SAMPLE_RATE

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def speak(self, options: SpeechOptions, model: str) -> Iterator[bytes]:
        """One block per sentence. Raises UnsupportedValue for an unknown voice, EngineLost, ProviderBusy, ProviderError."""
        voice = _voice_for(options)
        words_per_minute = _WORDS_PER_MINUTE * voice.pace * options.speed
        return self._blocks(options.input, voice, words_per_minute)

    def recite(self, options: SpeechOptions, model: str) -> Iterator[Utterance]:
        """One utterance per sentence, with the times the library tells. Raises as `speak` does."""
        voice = _voice_for(options)
        words_per_minute = _WORDS_PER_MINUTE * voice.pace * options.speed
        for sentence in sentences(options.input, longest=_LONGEST_PIECE):
            speakable = _CONTROL.sub(" ", sentence)
            sound, begins, rests = self._engine.call(
                "say_and_tell", speakable, astuple(voice), words_per_minute, timeout=_TIMEOUT_S
            )
            marks = Marks(tuple((place, ms) for place, ms in begins), tuple(rests))
            yield marked(speakable, sound, SAMPLE_RATE, marks)

    def _blocks(self, text: str, voice: Voice, words_per_minute: float) -> Iterator[bytes]:
        silent = True
        for sentence in sentences(text, longest=_LONGEST_PIECE):
            speakable = _CONTROL.sub(" ", sentence)
            block: bytes = self._engine.call("say", speakable, astuple(voice), words_per_minute, timeout=_TIMEOUT_S)
            if block:
                silent = False
                yield block
        if silent:
            yield _NOTHING_TO_SAY


def _voice_for(options: SpeechOptions) -> Voice:
    """The voice that was asked for; where one of OpenAI's names would have to spell foreign letters, its like in their language."""
    voice = voice_called(options.voice)
    if options.voice not in VOICES:
        return voice
    written = options.language or written_language(options.input)
    language = languages().get(written) if written != "en" else None
    _, plus, variant = voice.name.partition("+")
    return replace(voice, name=language + plus + variant) if language else voice


def voice_called(name: str) -> Voice:
    """The voice behind an OpenAI or eSpeak name. Raises UnsupportedValue, which lists what there is."""
    if name in VOICES:
        return VOICES[name]
    language, plus, variant = name.partition("+")
    if language.lower() in languages() and (not plus or variant.lower() in variants()):
        return Voice(languages()[language.lower()] + plus + variants().get(variant.lower(), ""))
    raise UnsupportedValue(
        f"No voice is called {name!r}. Voices: {', '.join(VOICES)}; or an eSpeak NG language, alone or with a variant "
        f"(de, fr+m3): {', '.join(sorted(languages()))}",
        param="voice",
    )


@functools.cache
def languages() -> Mapping[str, str]:
    """The library's voices by language in lower case, read from its data without loading it.

    A voice is known by its file's name; some declare further languages, such as `en-gb` in `en`.
    """
    files = {path.name.lower(): path.read_text("utf-8") for path in (_data() / "lang").rglob("*") if path.is_file()}
    files = {name: text for name, text in files.items() if _dictionary(name, text).exists()}
    aliases = [
        (int(priority or 5), len(name), alias.lower(), name)
        for name, text in files.items()
        for alias, priority in re.findall(r"^language[ \t]+(\S+)[ \t]*(\d*)", text, re.MULTILINE)
    ]
    declared = {alias: name for _, _, alias, name in sorted(aliases, reverse=True)}  # the best one wins, written last
    return declared | {name: name for name in files}


def _dictionary(name: str, text: str) -> Path:
    named = re.search(r"^dictionary[ \t]+(\S+)", text, re.MULTILINE)
    return _data() / f"{named[1] if named else name.partition('-')[0]}_dict"


@functools.cache
def variants() -> Mapping[str, str]:
    """The library's voice variants, by their names in lower case."""
    return {path.name.lower(): path.name for path in (_data() / "voices" / "!v").iterdir()}


def _data() -> Path:
    return Path(espeakng_loader.get_data_path())


def pace(model: str) -> float:
    """On any machine."""
    return 0.01


def open_provider(config: Mapping[str, Any], engines: Engines) -> Provider:
    """No settings."""
    engine = engines.open(EngineSpec("espeak", f"{__name__}:{Synthesizer.__name__}"))
    return Provider(speaker=Espeak(engine), resources=(engine,))
