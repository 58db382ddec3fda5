"""The embedded voice with its real weights, heard by the embedded ear: what a newcomer's first minutes sound like."""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import pytest

from infra.settings import Settings
from pipeline.audio.encode import encode
from pipeline.kokoro.folder import SAMPLE_RATE
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak, transcribe
from pipeline.tts.passage import recite
from tests.benchmarks.real_speech import spelled
from tests.support.read_aloud import VARIED, Sentence, wrong_words
from tests.support.real_weights import real_weights
from tests.support.seams import seams
from tests.support.voice_traits import DECIBELS, SEMITONE, differences, traits
from tests.support.word_error_rate import word_errors

pytestmark = pytest.mark.processes

SENTENCES = (
    "Prof. Jones paid for three tickets, and J. R. Brown went home. "
    "Nobody believed that the old train would ever leave the station."
)
HEARD = SENTENCES.replace("Prof.", "Professor").replace("J. R.", "JR")


@pytest.fixture(scope="module")
def registry() -> Iterator[ProviderRegistry]:
    real_weights("whisper-base")
    settings = Settings(models=real_weights("kokoro"))
    with ProviderRegistry(settings.load_catalog(), engine_processes=1) as opened:
        yield opened


def spoken(registry: ProviderRegistry, text: str, voice: str, target: str) -> bytes:
    asked = SpeechOptions.model_validate({"model": "tts-1", "input": text, "voice": voice, "response_format": target})
    speech = speak(asked, registry)
    sound = b"".join(speech)
    assert speech.model_used == "kokoro"
    return sound


@pytest.mark.parametrize(("voice", "target"), [("onyx", "mp3"), ("alloy", "wav")])
def test_what_it_says_is_heard(registry: ProviderRegistry, voice: str, target: str) -> None:
    heard = transcribe(spoken(registry, SENTENCES, voice, target), TranscriptionOptions(model="whisper-1"), registry)
    assert (heard.model_used, heard.language) == ("whisper-base", "en")
    ways = [word_errors(spelled(said), spelled(heard.text)).all for said in (SENTENCES, HEARD)]
    assert min(ways) <= 2, heard.text


def test_what_is_hard_to_read_out_is_heard_and_joined_without_a_seam(registry: ProviderRegistry) -> None:
    hard = [VARIED[place] for place in (1, 3, 9)]
    text = " ".join((*(one.written for one in hard), "Yes."))
    said = recite(SpeechOptions(model="kokoro", voice="nova", input=text), registry)
    joins = [(one.end, two.start) for one, two in pairwise(said.sentences)]
    places = [(end * SAMPLE_RATE // 1000, start * SAMPLE_RATE // 1000) for end, start in joins]
    found = seams(np.frombuffer(said.pcm, "<i2"), places, SAMPLE_RATE)
    assert len(found) == len(hard)
    assert max(abs(seam.decibels) for seam in found) <= 3
    assert max(seam.click for seam in found) <= 0.25
    sound = b"".join(encode(iter([said.pcm]), sample_rate=SAMPLE_RATE, target="flac"))
    heard = transcribe(sound, TranscriptionOptions(model="whisper-1", language="en"), registry).text
    ways = [" ".join(way) for way in product(*((one.written, *one.ways) for one in hard))]
    wrong, words = min(wrong_words(Sentence(f"{way} Yes."), heard) for way in ways)
    assert wrong <= 0.1 * words, heard


def test_german_is_left_to_espeak_and_told(registry: ProviderRegistry) -> None:
    speech = speak(SpeechOptions(model="tts-1", input="Das Wetter ist heute sehr schön.", voice="alloy"), registry)
    assert b"".join(speech)
    assert speech.model_used == "espeak-ng"


def test_onyx_is_lower_than_cedar_and_both_can_be_told_apart(registry: ProviderRegistry) -> None:
    sounds = {
        voice: spoken(registry, "The old man told us a story.", voice, "pcm") for voice in ("onyx", "cedar", "sage")
    }
    found = {voice: traits(sound, SAMPLE_RATE) for voice, sound in sounds.items()}
    assert found["onyx"].pitch < found["cedar"].pitch < found["sage"].pitch
    assert all(semitones >= SEMITONE or decibels >= DECIBELS for _, _, semitones, decibels in differences(found))
