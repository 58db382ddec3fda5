"""What is sent to which model: everything it takes, nothing that it refuses, written as the SDKs write it."""

from typing import Any

import pytest

from pipeline.openai_api.client import Config
from pipeline.openai_api.request import Abilities, fields
from pipeline.options import TranscriptionOptions, VoiceActivity

EVERYTHING: dict[str, Any] = {
    "language": "en",
    "languages": ("en", "de"),
    "keywords": ("Stenopool", "Celery"),
    "prompt": "A talk.",
    "temperature": 0.2,
    "include": ("logprobs",),
    "chunking_strategy": VoiceActivity(threshold=0.4),
    "known_speaker_names": ("Ann",),
    "known_speaker_references": ("data:audio/wav;base64,UklGRg==",),
}
ALWAYS = {"model", "response_format", "temperature"}
VAD = {f"chunking_strategy[{name}]" for name in ("type", "prefix_padding_ms", "silence_duration_ms", "threshold")}


def sent(model: str, *, ms: int = 5000, config: Config | None = None, **options: Any) -> dict[str, Any]:
    asked = TranscriptionOptions(model="any", **options)
    return dict(fields(asked, model, ms, Abilities(config or Config(), model)))


@pytest.mark.parametrize(
    ("model", "shape", "names"),
    [
        ("whisper-1", "verbose_json", {"language", "prompt", "timestamp_granularities[]"}),
        ("Qwen/Qwen3-ASR", "verbose_json", {"language", "prompt", "timestamp_granularities[]"}),
        ("gpt-4o-transcribe", "json", {"language", "prompt", "include[]"} | VAD),
        ("gpt-4o-mini-transcribe-2025-12-15", "json", {"language", "prompt", "include[]"} | VAD),
        ("openai/gpt-4o-transcribe", "json", {"language", "prompt", "include[]"} | VAD),
        ("gpt-transcribe", "json", {"prompt", "languages[]", "keywords[]"} | VAD),
        (
            "gpt-4o-transcribe-diarize",
            "diarized_json",
            {"language", "known_speaker_names[]", "known_speaker_references[]"} | VAD,
        ),
    ],
)
def test_every_model_gets_what_it_takes(model: str, shape: str, names: set[str]) -> None:
    data = sent(model, **EVERYTHING)
    assert set(data) == ALWAYS | names
    assert (data["model"], data["response_format"], data["temperature"]) == (model, shape, "0.2")


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    assert sent("gpt-transcribe") == {"model": "gpt-transcribe", "response_format": "json"}


def test_lists_and_objects_as_the_sdks_write_them() -> None:
    data = sent("gpt-transcribe", **EVERYTHING)
    assert data["keywords[]"] == ["Stenopool", "Celery"] and data["languages[]"] == ["en"]
    assert data["chunking_strategy[type]"] == "server_vad" and data["chunking_strategy[threshold]"] == "0.4"
    assert sent("gpt-transcribe", chunking_strategy="auto")["chunking_strategy"] == "auto"


def test_a_model_without_keywords_has_them_in_its_prompt() -> None:
    assert sent("whisper-1", keywords=("Stenopool", "Celery"))["prompt"] == "Stenopool, Celery"
    assert sent("whisper-1", prompt="A talk.", keywords=("Celery",))["prompt"] == "A talk.\nCelery"


def test_one_possible_language_is_the_language() -> None:
    assert sent("whisper-1", languages=("de",))["language"] == "de"
    assert "language" not in sent("whisper-1", languages=("de", "en"))


def test_a_model_that_takes_languages_is_told_the_one_as_such() -> None:
    assert sent("gpt-transcribe", language="de")["languages[]"] == ["de"]
    assert sent("gpt-transcribe", languages=("de", "en"))["languages[]"] == ["de", "en"]
    abilities = Abilities(Config(), "gpt-transcribe")
    abilities.refused |= {"languages"}
    assert fields(TranscriptionOptions(model="any", language="de"), "gpt-transcribe", 1, abilities)["language"] == "de"


@pytest.mark.parametrize(("ms", "strategy"), [(30_000, None), (30_001, "auto")])
def test_a_diarizing_model_needs_a_strategy_for_long_sound(ms: int, strategy: str | None) -> None:
    assert sent("gpt-4o-transcribe-diarize", ms=ms).get("chunking_strategy") == strategy


def test_translations_take_little() -> None:
    assert set(sent("whisper-1", task="translation", **EVERYTHING)) == ALWAYS | {"prompt"}


def test_what_was_refused_is_not_sent_again() -> None:
    abilities = Abilities(Config(), "whisper-1")
    abilities.refused |= {"timestamp_granularities"}
    asked = TranscriptionOptions(model="any")
    assert fields(asked, "whisper-1", 1, abilities) == {"model": "whisper-1", "response_format": "verbose_json"}
    abilities.refused |= {"response_format"}
    assert fields(asked, "whisper-1", 1, abilities) == {"model": "whisper-1", "response_format": "json"}
    abilities.refused |= {"language", "prompt", "temperature"}
    every = TranscriptionOptions(model="any", language="en", prompt="A talk.", temperature=0.2)
    assert fields(every, "whisper-1", 1, abilities) == {"model": "whisper-1", "response_format": "json"}


def test_settings_say_otherwise() -> None:
    config = Config(text_only=("mine*",), diarizes=(), logprobs=("mine-2",), keywords=("mine-1",))
    assert "keywords[]" in sent("mine-1", config=config, **EVERYTHING)
    assert "include[]" in sent("mine-2", config=config, **EVERYTHING)
    assert sent("gpt-4o-transcribe-diarize", config=config)["response_format"] == "verbose_json"
