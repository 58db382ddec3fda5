"""Who said what with the real weights: two voices that Kokoro speaks, heard by Whisper, told apart by how they sound."""

from collections.abc import Iterator

import numpy as np
import pytest

from infra.settings import Settings
from pipeline.audio.encode import encode
from pipeline.kokoro.folder import SAMPLE_RATE
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak, transcribe
from tests.support.diarization_error import errors
from tests.support.real_weights import real_weights

pytestmark = pytest.mark.processes

TURNS = (
    ("onyx", "Good morning, and thank you for calling the old museum of clocks."),
    ("marin", "Hello. I would like to know when you are open at the weekend."),
    ("onyx", "We open at ten on Saturday, and we are closed on Sunday all day long."),
    ("marin", "That is a pity. Then we will come on Saturday, soon after lunch."),
)
PAUSE_S = 0.5


@pytest.fixture(scope="module")
def registry() -> Iterator[ProviderRegistry]:
    for name in ("whisper-base", "kokoro", "speakers"):
        settings = Settings(models=real_weights(name))
    with ProviderRegistry(settings.load_catalog(), engine_processes=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def talk(registry: ProviderRegistry) -> tuple[bytes, list[tuple[int, int, str]]]:
    """A WAV, and who speaks when, in ms."""
    sound, truth = bytearray(), list[tuple[int, int, str]]()
    for voice, text in TURNS:
        sound += np.random.default_rng(1).normal(0, 8, round(PAUSE_S * SAMPLE_RATE)).astype("<i2").tobytes()
        start = len(sound) // 2
        asked = SpeechOptions.model_validate(
            {"model": "kokoro", "input": text, "voice": voice, "response_format": "pcm"}
        )
        sound += b"".join(speak(asked, registry))
        truth.append((start * 1000 // SAMPLE_RATE, len(sound) // 2 * 1000 // SAMPLE_RATE, voice))
    return b"".join(encode(iter([bytes(sound)]), sample_rate=SAMPLE_RATE, target="wav")), truth


def test_two_voices_are_two_speakers(
    registry: ProviderRegistry, talk: tuple[bytes, list[tuple[int, int, str]]]
) -> None:
    wav, truth = talk
    options = TranscriptionOptions(model="gpt-4o-transcribe-diarize", response_format="diarized_json")
    heard = transcribe(wav, options, registry)
    told = [(segment.start, segment.end, segment.speaker) for segment in heard.segments]
    assert [who for at, (_, _, who) in enumerate(told) if not at or who != told[at - 1][2]] == ["A", "B", "A", "B"]
    found = errors(truth, told)
    assert found.confusion <= 5 and found.rate <= 15, found
    assert heard.speakers is not None and heard.speakers.found == 2 and heard.speakers.confidence > 0.15


def test_one_voice_is_one(registry: ProviderRegistry, talk: tuple[bytes, list[tuple[int, int, str]]]) -> None:
    wav, truth = talk
    alone = wav[: 44 + 2 * SAMPLE_RATE * truth[0][1] // 1000]
    heard = transcribe(alone, TranscriptionOptions(model="whisper-1", speakers="auto"), registry)
    assert {segment.speaker for segment in heard.segments} == {"A"}
