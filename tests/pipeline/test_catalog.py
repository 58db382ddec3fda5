"""The shipped catalog holds what the product promises; a deployment's file is laid over it; mistakes are named."""

from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.catalog import CatalogBroken, Route, load_catalog
from pipeline.errors import ModelNotFound, ModelUnavailable, UnsupportedValue

TOKENS = {"million_audio_tokens_in": "6.00", "million_text_tokens_in": "2.50", "million_text_tokens_out": "10.00"}
PROMISED: dict[str, tuple[set[str], dict[str, str]]] = {
    "whisper-1": ({"transcription", "translation"}, {"audio_minute": "0.006"}),
    "whisper-large-v3": ({"transcription", "translation"}, {"audio_hour": "0.111"}),
    "whisper-large-v3-turbo": ({"transcription"}, {"audio_hour": "0.04"}),
    "gpt-4o-transcribe": (
        {"transcription"},
        {"million_audio_tokens_in": "6.00", "million_text_tokens_in": "2.50", "million_text_tokens_out": "10.00"},
    ),
    "gpt-4o-mini-transcribe": (
        {"transcription"},
        {"million_audio_tokens_in": "3.00", "million_text_tokens_in": "1.25", "million_text_tokens_out": "5.00"},
    ),
    "gpt-4o-transcribe-diarize": ({"transcription"}, TOKENS),
    "gpt-transcribe": ({"transcription"}, TOKENS),
    "tts-1": ({"speech"}, {"thousand_characters": "0.015"}),
    "tts-1-hd": ({"speech"}, {"thousand_characters": "0.030"}),
    "gpt-4o-mini-tts": ({"speech"}, {"million_text_tokens_in": "0.60", "million_audio_tokens_out": "12.00"}),
    "gemini-3.1-flash-tts-preview": (
        {"speech"},
        {"million_text_tokens_in": "1.00", "million_audio_tokens_out": "20.00"},
    ),
    "pocketsphinx-en-us": ({"transcription", "translation"}, {}),
    "espeak-ng": ({"speech"}, {}),
    "oracle": ({"transcription", "translation", "speech"}, {}),
}
EMBEDDED = {
    "transcription": Route(provider="pocketsphinx", model="pocketsphinx-en-us"),
    "translation": Route(provider="pocketsphinx", model="pocketsphinx-en-us"),
    "speech": Route(provider="espeak", model="espeak-ng"),
}
ALWAYS = {"pocketsphinx-en-us", "espeak-ng", "oracle"}


def test_no_model_more_or_less() -> None:
    assert set(load_catalog(None, embedded_engines="auto").models) == set(PROMISED)


@pytest.mark.parametrize("model_id", PROMISED)
def test_tasks_and_prices_are_as_promised(model_id: str) -> None:
    model = load_catalog(None, embedded_engines="auto").model(model_id)
    tasks, prices = PROMISED[model_id]
    assert set(model.tasks) == tasks
    assert model.prices.model_dump(exclude_none=True) == {unit: Decimal(price) for unit, price in prices.items()}
    assert model.audio_ratio == 1


@pytest.mark.parametrize("model_id", sorted(set(PROMISED) - ALWAYS))
def test_the_embedded_engines_stand_in_unless_they_are_off(model_id: str) -> None:
    auto, off = (load_catalog(None, embedded_engines=setting) for setting in ("auto", "off"))
    for task in auto.model(model_id).tasks:
        assert auto.routes(model_id, task) == (EMBEDDED[task],)
        with pytest.raises(ModelUnavailable):
            off.routes(model_id, task)
    assert auto.available(model_id)
    assert not off.available(model_id)


@pytest.mark.parametrize("model_id", sorted(ALWAYS))
def test_the_engines_own_models_are_always_there(model_id: str) -> None:
    off = load_catalog(None, embedded_engines="off")
    assert all(off.routes(model_id, task) for task in off.model(model_id).tasks)


def test_unknown_models_and_wrong_tasks() -> None:
    catalog = load_catalog(None, embedded_engines="auto")
    with pytest.raises(ModelNotFound, match="The model `whisper-2` does not exist") as unknown:
        catalog.routes("whisper-2", "transcription")
    assert unknown.value.param == "model"
    with pytest.raises(UnsupportedValue) as wrong:
        catalog.routes("tts-1", "transcription")
    assert wrong.value.param == "model"


def write(folder: Path, text: str) -> Path:
    path = folder / "catalog.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_deployments_file_is_laid_over_model_by_model(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [providers.fast]
        kind = "oracle"
        max_s = 5

        [models.whisper-1]
        prices = { audio_minute = "0.003" }
        routes = [{ provider = "fast", model = "anything" }, { provider = "pocketsphinx", model = "pocketsphinx-en-us" }]

        [models.in-house]
        tasks = ["transcription"]
        """,
    )
    catalog = load_catalog(path, embedded_engines="off")
    model = catalog.model("whisper-1")
    assert model.prices.audio_minute == Decimal("0.003")
    assert model.tasks == ("transcription", "translation")
    assert [route.provider for route in catalog.routes("whisper-1", "translation")] == ["fast", "pocketsphinx"]
    assert catalog.provider_kind("fast") == "oracle"
    assert catalog.providers["fast"]["max_s"] == 5
    assert not catalog.available("in-house")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models.x", "cannot be read"),
        ("[models.x]\ntasks = []", "'x' is wrong at tasks"),
        ("[models.x]\ntasks = ['singing']", "'x' is wrong at tasks.0"),
        ("[models.x]\ntasks = ['speech']\ncolour = 'red'", "'x' is wrong at colour"),
        (
            "[models.x]\ntasks = ['speech']\nroutes = [{ provider = 'nobody', model = 'x' }]",
            "'nobody', which is no provider",
        ),
        ("[model.x]\ntasks = ['speech']", "wrong at model:"),
        ("models = 3", "models"),
        ("[providers]\nopenai = 'key'", "providers"),
        ("[embedded]\nspeech = { provider = 'nobody', model = 'x' }", "nobody"),
        (
            "[models.x]\ntasks = ['speech']\nvoices = 'choir'",
            "'x' is wrong at voices: there is no [voices] called 'choir'",
        ),
        ("[models.x]\ntasks = ['speech']\nlanguages = 'elvish'", "there is no [languages] called 'elvish'"),
        ("[models.x]\ntasks = ['speech']\naliases = ['tts-1']", "alias 'tts-1'"),
        ("[embedded]\nsinging = { provider = 'espeak', model = 'x' }", "singing"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogBroken) as broken:
        load_catalog(write(tmp_path, text), embedded_engines="auto")
    assert told in broken.value.message
    assert str(tmp_path) not in broken.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CatalogBroken):
        load_catalog(tmp_path / "nothing.toml", embedded_engines="auto")


def test_lists_are_shared_by_name() -> None:
    catalog = load_catalog(None, embedded_engines="auto")
    whisper, turbo = catalog.model("whisper-1"), catalog.model("whisper-large-v3-turbo")
    assert whisper.languages == turbo.languages
    assert len(set(whisper.languages)) == len(whisper.languages) > 90
    voices = {voice.id: voice.description for voice in catalog.model("tts-1").voices}
    assert (len(voices), voices["nova"]) == (13, "friendly, upbeat")
    assert catalog.model("gpt-4o-mini-tts-2025-12-15") is catalog.model("gpt-4o-mini-tts")


def test_a_deployment_has_voices_of_its_own(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [voices.ours]
        nova = "as we like it"
        grandma = "hoarse"

        [models.tts-1]
        voices = ["openai", "ours"]
        """,
    )
    voices = {voice.id: voice.description for voice in load_catalog(path, embedded_engines="off").model("tts-1").voices}
    assert (voices["nova"], voices["grandma"], voices["onyx"]) == ("as we like it", "hoarse", "deep, authoritative")


DIARIZING = {"openai": {"api_key": "sk-x"}}


def test_who_speaks_is_told_by_those_who_know() -> None:
    catalog = load_catalog(None, embedded_engines="auto", stock=DIARIZING)
    assert "diarized_json" in catalog.formats("gpt-4o-transcribe-diarize", "transcription")
    assert "diarized_json" not in catalog.formats("whisper-1", "transcription")
    catalog.check_format("gpt-4o-transcribe-diarize", "transcription", "diarized_json")
    with pytest.raises(UnsupportedValue, match="that tell speakers apart: gpt-4o-transcribe-diarize") as refused:
        catalog.check_format("whisper-1", "transcription", "diarized_json")
    assert refused.value.param == "response_format"
    alone = load_catalog(None, embedded_engines="auto")  # PocketSphinx stands in, and knows nobody
    with pytest.raises(UnsupportedValue, match="`diarizes = true`"):
        alone.check_format("gpt-4o-transcribe-diarize", "transcription", "diarized_json")


def test_diarized_work_goes_to_diarizing_routes_only(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [models.x]
        tasks = ["transcription"]
        routes = [{ provider = "oracle", model = "a" }, { provider = "oracle", model = "b", diarizes = true }]
        formats = ["json", "diarized_json"]
        """,
    )
    catalog = load_catalog(path, embedded_engines="off")
    assert [route.model for route in catalog.routes("x", "transcription")] == ["a", "b"]
    assert [route.model for route in catalog.routes("x", "transcription", diarized=True)] == ["b"]
    with pytest.raises(UnsupportedValue, match="Use one of: diarized_json, json"):
        catalog.check_format("x", "transcription", "srt")


def test_voices_are_those_of_who_speaks() -> None:
    alone, routed = (load_catalog(None, embedded_engines="auto", stock=stock) for stock in ({}, DIARIZING))
    assert alone.voices("tts-1") == alone.model("espeak-ng").voices
    assert routed.voices("tts-1") == routed.model("tts-1").voices != alone.voices("tts-1")
    assert alone.voices("whisper-1") == ()
