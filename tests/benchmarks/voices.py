"""How well Kokoro's thirteen voices can be told apart and are understood, and how fast it speaks.

The voices say one sentence each; some are heard back by Whisper base. Nothing is measured where the weights are not installed.
"""

import os
import time
from collections.abc import Iterator

from infra.settings import Settings
from pipeline.audio.encode import encode
from pipeline.kokoro.folder import SAMPLE_RATE
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_protocol import OPENAI_VOICES
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak, transcribe
from tests.benchmarks.real_speech import spelled
from tests.benchmarks.report import Figure
from tests.support.voice_traits import DECIBELS, SEMITONE, differences, traits
from tests.support.word_error_rate import word_errors

SENTENCE = "The old lighthouse keeper walked slowly along the harbour, and told us a story."
VARIED = (
    "The doctor paid for three tickets on Friday, and went home by the night train.",
    "Do you really believe that nobody saw the train leave the station?",
    "A long time ago, a hundred people lived together in this quiet little town.",
    "Please send the report to the office before the meeting begins tomorrow morning.",
    "The weather was cold, the coffee was hot, and the road went on for miles.",
    "She opened the window, looked at the garden, and smiled at her brother.",
)


def spoken(registry: ProviderRegistry, text: str, voice: str) -> bytes:
    asked = SpeechOptions(model="kokoro", voice=voice, input=text, response_format="pcm")
    return b"".join(speak(asked, registry))


def as_wav(pcm: bytes) -> bytes:
    return b"".join(encode(iter([pcm]), sample_rate=SAMPLE_RATE, target="wav"))


def told_apart(registry: ProviderRegistry) -> Iterator[Figure]:
    """Pitch of each voice, then the two that are hardest to tell apart."""
    sounds = {voice: spoken(registry, SENTENCE, voice) for voice in OPENAI_VOICES}
    found = {voice: traits(sound, SAMPLE_RATE) for voice, sound in sounds.items()}
    for voice, trait in sorted(found.items(), key=lambda item: item[1].pitch):
        yield Figure(f"{voice}, median pitch", f"{trait.pitch:.0f} Hz")
    one, other, semitones, decibels = min(
        differences(found), key=lambda pair: max(pair[2] / SEMITONE, pair[3] / DECIBELS)
    )
    apart = semitones >= SEMITONE or decibels >= DECIBELS
    target = f">= {SEMITONE} or {DECIBELS} dB"
    yield Figure(
        f"the two most alike, {one} and {other}", f"{semitones:.1f} st", f"{decibels:.1f} dB", None, target, apart
    )


def understood(registry: ProviderRegistry) -> Iterator[Figure]:
    """Errors of Whisper base, each sentence by another voice, and what a second of sound has taken."""
    wrong = words = 0
    took = seconds = 0.0
    for voice, text in zip(OPENAI_VOICES[::2], VARIED, strict=False):
        began = time.monotonic()
        sound = spoken(registry, text, voice)
        took, seconds = took + time.monotonic() - began, seconds + len(sound) / 2 / SAMPLE_RATE
        heard = transcribe(as_wav(sound), TranscriptionOptions(model="whisper-base", language="en"), registry)
        errors = word_errors(spelled(text), spelled(heard.text)).all
        wrong, words = wrong + errors, words + len(spelled(text))
        yield Figure(f"{voice}: {heard.text.strip()}"[:58], f"{errors} wrong")
    yield Figure(
        "heard back by whisper-base, word errors", f"{100 * wrong / words:.1f} %", f"of {words} words", None, "<= 5 %"
    )
    yield Figure("for each second of sound", f"{took / seconds:.2f} s", f"{seconds:.0f} s spoken")


def run() -> Iterator[Figure]:
    settings = Settings.from_env(os.environ)
    if not {"kokoro", "whisper-base"} <= set(settings.weights.serving):
        yield Figure("nobody to speak or to hear: stenopool models install kokoro", "")
        return
    with ProviderRegistry(settings.load_catalog(), engine_processes=1) as registry:
        yield from told_apart(registry)
        yield from understood(registry)
