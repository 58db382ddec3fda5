"""Kokoro's speech: understood in every voice and format, as quick as its model alone, early, and without a seam that is heard.

Whisper base hears it back. `SPEECH_VOICES` and `SPEECH_SENTENCES` make it shorter. Nothing is measured where the weights are not
installed.
"""

import os
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import psutil

from infra.settings import Settings
from pipeline.audio.encode import encode
from pipeline.kokoro.folder import SAMPLE_RATE
from pipeline.kokoro.synthesizer import Synthesizer
from pipeline.kokoro.voices import mixture
from pipeline.options import SPEECH_FORMATS, SpeechOptions, TranscriptionOptions
from pipeline.provider_protocol import OPENAI_VOICES
from pipeline.provider_registry import ProviderRegistry
from pipeline.providers.kokoro import phrases
from pipeline.run import speak, transcribe
from pipeline.text.text_splitter import sentences
from pipeline.tts.passage import recite
from tests.benchmarks.report import Figure
from tests.benchmarks.spoken_prose import prose
from tests.support.read_aloud import VARIED, wrong_words
from tests.support.seams import seams

VOICES = int(os.environ.get("SPEECH_VOICES", len(OPENAI_VOICES)))
SENTENCES = int(os.environ.get("SPEECH_SENTENCES", len(VARIED)))
MINUTES = float(os.environ.get("SPEECH_MINUTES", "10"))
ERRORS, SLOWER, LATER = 5.0, 1.1, 1.5
JOINS, STEP_DB, CLICK = 60, 3.0, 0.25
CHARACTERS, LONGEST = 4000, 2000  # of a text, and of a sentence


def spoken(registry: ProviderRegistry, text: str, voice: str) -> bytes:
    asked = SpeechOptions(model="kokoro", voice=voice, input=text, response_format="pcm")
    speech = speak(asked, registry)
    sound = b"".join(speech)
    assert speech.model_used == "kokoro"
    return sound


def heard(registry: ProviderRegistry, sound: bytes) -> str:
    return transcribe(sound, TranscriptionOptions(model="whisper-base", language="en"), registry).text


def encoded(pcm: bytes, target: str) -> bytes:
    return b"".join(encode(iter([pcm]), sample_rate=SAMPLE_RATE, target=target))


def understood(registry: ProviderRegistry) -> Iterator[Figure]:
    """Every voice as FLAC, then one voice in each format."""
    first = OPENAI_VOICES[0]
    sounds = {
        (voice, place): spoken(registry, one.written, voice)
        for voice in OPENAI_VOICES[:VOICES]
        for place, one in enumerate(VARIED[:SENTENCES])
    }
    kinds = [(voice, "flac") for voice in OPENAI_VOICES[:VOICES]]
    kinds += [(first, target) for target in SPEECH_FORMATS if target != "flac"]
    for voice, target in kinds:
        wrong = words = 0
        for place, one in enumerate(VARIED[:SENTENCES]):
            pcm = sounds[voice, place]
            sound = encoded(pcm, target if target != "pcm" else "wav")
            text = heard(registry, sound)
            errors, said = wrong_words(one, text)
            wrong, words = wrong + errors, words + said
            if errors:
                yield Figure(f"  {voice}: {text.strip()}"[:58], f"{errors} wrong", "", None, one.written[:40])
        rate = 100 * wrong / words
        yield Figure(
            f"{voice}, {target}: word errors of {words}", f"{rate:.1f} %", "", None, f"<= {ERRORS:g} %", rate <= ERRORS
        )


def processor() -> float:
    """Seconds of this process and its living children."""
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (me, *me.children(recursive=True)))


def passage(characters: int) -> str:
    text = " ".join(prose())
    return text[: text.rindex(". ", 0, characters) + 1]


def real_time_factor(registry: ProviderRegistry, folder: str) -> Iterator[Figure]:
    """Processor seconds for the same phrases: the whole way against the model's own session."""
    text, styles = passage(700), mixture("alloy")
    alone = Synthesizer(folder, 0)
    runs: list[dict[str, object]] = []
    session = alone._session

    class Kept:
        def run(self, names: None, asked: dict[str, object]) -> object:
            runs.append(asked)
            return session.run(names, asked)

    alone._session = Kept()  # to have the very phonemes and styles
    for phrase in phrases_of(text):
        alone.say(phrase, styles, 1.0)
    spoken(registry, text, "alloy")
    before = processor()
    sound = spoken(registry, text, "alloy")
    ours = processor() - before
    before = processor()
    for asked in runs:
        session.run(None, asked)
    bare = processor() - before
    seconds = len(sound) / 2 / SAMPLE_RATE
    yield Figure(
        f"processor for {seconds:.0f} s of speech", f"{ours:.1f} s", f"bare {bare:.1f} s", ours / bare, f"<= {SLOWER}",
        ours <= SLOWER * bare,
    )  # fmt: skip


def phrases_of(text: str) -> list[str]:
    """As the provider hands them to its engine."""
    told = list(sentences(text, longest=LONGEST))
    return [phrase for place, sentence in enumerate(told) for phrase in phrases(sentence, soon=place == 0)]


def first_byte(registry: ProviderRegistry) -> Iterator[Figure]:
    """Of a text as long as a request may be, against its first phrase by itself."""
    text = passage(CHARACTERS)
    phrase = phrases_of(text)[0]
    alone, early = [], []
    for _ in range(3):
        began = time.monotonic()
        spoken(registry, phrase, "alloy")
        alone.append(time.monotonic() - began)
        for target in ("mp3", "pcm"):
            began = time.monotonic()
            speech = speak(
                SpeechOptions.model_validate({"model": "kokoro", "input": text, "response_format": target}), registry
            )
            next(speech)
            early.append(time.monotonic() - began)
            speech.close()
            spoken(registry, "Yes.", "alloy")  # the engine has finished with what nobody wants any more
    ours, theirs = min(early), min(alone)
    yield Figure(
        f"first byte of {len(text)} characters", f"{ours:.2f} s", f"phrase {theirs:.2f} s", ours / theirs, f"<= {LATER}",
        ours <= LATER * theirs,
    )  # fmt: skip


def joined(registry: ProviderRegistry) -> Iterator[Figure]:
    """As a job speaks: passages of sentences, end to end."""
    sound = bytearray()
    joins = list[tuple[int, int]]()
    end = 0
    sentences = prose()
    while len(sound) / 2 / SAMPLE_RATE < 60 * MINUTES:
        text = " ".join(islice(sentences, 8))
        if not text:
            break
        said = recite(SpeechOptions(model="kokoro", voice="alloy", input=text), registry)
        at = len(sound) // 2
        for one in said.sentences:
            joins.append((end, at + one.start * SAMPLE_RATE // 1000))
            end = at + one.end * SAMPLE_RATE // 1000
        sound += said.pcm
    found = seams(np.frombuffer(bytes(sound), "<i2"), joins[1:], SAMPLE_RATE)
    steps, clicks = max(abs(one.decibels) for one in found), max(one.click for one in found)
    told = f"{len(found)} joins in {len(sound) / 2 / SAMPLE_RATE / 60:.1f} min"
    good = len(found) >= JOINS * MINUTES / 10
    yield Figure("joins", str(len(found)), told, None, f">= {JOINS}", good)
    yield Figure(
        "largest step of loudness at a join", f"{steps:.1f} dB", told, None, f"<= {STEP_DB:g} dB", steps <= STEP_DB
    )
    yield Figure(
        "steepest sample at a join, of the speech's own", f"{clicks:.2f}", told, None, f"<= {CLICK:g}", clicks <= CLICK
    )


def run() -> Iterator[Figure]:
    settings = Settings.from_env(os.environ)
    serving = settings.weights.serving
    if not {"kokoro", "whisper-base"} <= set(serving):
        yield Figure("nobody to speak or to hear: stenopool models install kokoro", "")
        return
    with ProviderRegistry(settings.load_catalog(), engine_processes=1) as registry:
        spoken(registry, "Good morning.", "alloy")
        yield from first_byte(registry)
        yield from real_time_factor(registry, str(serving["kokoro"]))
        yield from joined(registry)
        yield from understood(registry)
