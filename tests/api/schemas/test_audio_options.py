"""What the fields of a request become for the pipeline."""

from typing import Literal

import pytest

from infra.requests.audio_options import SpeechFields, TranscriptionFields
from pipeline.options import VoiceActivity

ASKED = {
    "model": "m",
    "language": "de-DE",
    "languages": ["en", "de_AT", "EN"],
    "keywords": "Stenopool",
    "include": ["logprobs", "logprobs"],
    "timestamp_granularities": "word",
    "chunking_strategy": '{"type": "server_vad", "threshold": 0.3, "whatever": 1}',
    "known_speaker_names": '["Ann", " Bob "]',
    "prompt": "A talk.",
    "temperature": "0.5",
}


def test_everything_reaches_the_pipeline() -> None:
    options = TranscriptionFields.model_validate(ASKED).options("transcription")
    assert (options.language, options.languages, options.keywords) == ("de", ("en", "de"), ("Stenopool",))
    assert (options.include, options.timestamp_granularities) == (("logprobs",), ("word",))
    assert options.chunking_strategy == VoiceActivity(threshold=0.3)
    assert options.known_speaker_names == ("Ann", "Bob")
    assert (options.prompt, options.temperature, options.response_format) == ("A talk.", 0.5, "json")


def test_translations_ignore_what_openais_do_not_take() -> None:
    options = TranscriptionFields.model_validate(ASKED).options("translation")
    assert (options.prompt, options.temperature, options.task) == ("A talk.", 0.5, "translation")
    assert options.timestamp_granularities == ("segment",)
    assert not (options.keywords or options.include or options.known_speaker_names)
    assert options.chunking_strategy is None


def test_a_translation_may_know_what_is_spoken() -> None:
    options = TranscriptionFields.model_validate(ASKED).options("translation")
    assert (options.language, options.languages) == ("de", ("en", "de"))


@pytest.mark.parametrize("open_to_all", ["auto", "Auto", "", " ", None])
@pytest.mark.parametrize("task", ["transcription", "translation"])
def test_auto_is_as_leaving_it_out(open_to_all: str | None, task: Literal["transcription", "translation"]) -> None:
    for asked in ({"language": open_to_all}, {"languages": [open_to_all] if open_to_all else open_to_all}):
        fields = TranscriptionFields.model_validate({"model": "m", **asked})
        assert fields.options(task) == TranscriptionFields.model_validate({"model": "m"}).options(task)


@pytest.mark.parametrize("nothing", [None, "", "null"])
def test_nothing_is_nothing(nothing: str | None) -> None:
    names = set(ASKED) - {"model", "prompt"}
    asked = TranscriptionFields.model_validate({"model": "m", **dict.fromkeys(names, nothing)})
    assert asked.options("transcription") == TranscriptionFields.model_validate({"model": "m"}).options("transcription")


@pytest.mark.parametrize("voice", ["nova", {"id": "nova"}, {"id": "nova", "more": 1}])
def test_a_voice_is_a_name_or_an_object(voice: object) -> None:
    fields = SpeechFields.model_validate({"model": "m", "input": "Hello.", "voice": voice, "speed": None})
    assert (fields.options().voice, fields.options().speed) == ("nova", 1.0)
