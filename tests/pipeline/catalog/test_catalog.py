"""The shipped catalog holds what the product promises; a deployment's file is laid over it; mistakes are named."""

from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.catalog.model import Route
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import CatalogBroken, ModelNotFound, ModelUnavailable, UnsupportedLanguage, UnsupportedValue
from pipeline.options import TranscriptionOptions
from pipeline.provider_protocol import OPENAI_VOICES
from pipeline.providers.gemini import GEMINI_VOICES

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
    "gpt-transcribe": ({"transcription"}, {"audio_minute": "0.0045"}),
    "tts-1": ({"speech"}, {"thousand_characters": "0.015"}),
    "tts-1-hd": ({"speech"}, {"thousand_characters": "0.030"}),
    "gpt-4o-mini-tts": ({"speech"}, {"million_text_tokens_in": "0.60", "million_audio_tokens_out": "12.00"}),
    "gemini-3.1-flash-tts-preview": (
        {"speech"},
        {"million_text_tokens_in": "1.00", "million_audio_tokens_out": "20.00"},
    ),
    "whisper-base": ({"transcription", "translation"}, {}),
    "pocketsphinx-en-us": ({"transcription", "translation"}, {}),
    "kokoro": ({"speech"}, {}),
    "espeak-ng": ({"speech"}, {}),
    "oracle": ({"transcription", "translation", "speech"}, {}),
}
EMBEDDED = {
    "transcription": Route(provider="pocketsphinx", model="pocketsphinx-en-us"),
    "translation": Route(provider="pocketsphinx", model="pocketsphinx-en-us"),
    "speech": Route(provider="espeak", model="espeak-ng"),
}
ALWAYS = {"pocketsphinx-en-us", "espeak-ng", "kokoro", "oracle"}


VENDORS = {"openai", "groq", "gemini"}


def test_every_price_of_a_vendor_says_where_and_when_it_was_read() -> None:
    models = load_catalog(None, embedded_engines="auto", stock={name: {"api_key": "x"} for name in VENDORS}).models
    for model in models.values():
        priced = bool(model.prices.model_dump(exclude_none=True))
        assert (model.facts is not None) == priced, model.id
        if model.shutdown and model.shutdown.successor:
            assert model.shutdown.successor in models
    assert {model.id for model in models.values() if model.shutdown} == {
        "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize",
        "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gemini-3.1-flash-tts-preview",
    }  # fmt: skip


def test_the_models_that_end_are_told_where_their_vendor_serves_them(tmp_path: Path) -> None:
    assert load_catalog(None, embedded_engines="auto").ending() == ()
    ending = load_catalog(None, embedded_engines="auto", stock={"openai": {"api_key": "x"}}).ending()
    assert [model.id for model in ending[:3]] == ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    assert [model.shutdown.told for model in (ending[0], ending[-1]) if model.shutdown] == [
        "2027-01-06, no successor",
        "2027-02-26, successor gpt-transcribe",
    ]


def test_prices_of_ones_own_are_not_told_to_have_been_read_elsewhere(tmp_path: Path) -> None:
    own = tmp_path / "catalog.toml"
    own.write_text("""
        [models.whisper-1]
        prices = { audio_minute = "0.004" }
        [models.tts-1]
        prices = { thousand_characters = "0.01" }
        facts = { as_of = 2026-12-01, source = "our contract" }
    """)
    models = load_catalog(own, embedded_engines="auto").models
    assert models["whisper-1"].facts is None
    assert models["tts-1"].facts and models["tts-1"].facts.source == "our contract"
    assert models["tts-1-hd"].facts and models["tts-1-hd"].facts.source != "our contract"


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
        ("[models.x]\ntasks = ['speech']\nlanguages = [3]", "'x' is wrong at languages.0"),
        ("[models.x]\ntasks = ['speech']\nroutes = [3]", "'x' is wrong at routes.0"),
        (
            "[models.x]\ntasks = ['speech']\nroutes = [{ provider = 'oracle', model = 'x', languages = 'elvish' }]",
            "there is no [languages] called 'elvish'",
        ),
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
    assert (*whisper.languages, "yue") == turbo.languages
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


MIXED = """
[languages]
alpine = ["de", "fr", "it"]

[models.mixed]
tasks = ["transcription"]
languages = ["alpine", "rm"]
routes = [
    { provider = "pocketsphinx", model = "english" },
    { provider = "oracle", model = "alpine" },
    { provider = "oracle", model = "northern", languages = ["nb", "sv", "en"] },
]

[models.open]
tasks = ["transcription"]
routes = [{ provider = "pocketsphinx", model = "english" }, { provider = "oracle", model = "anything" }]

[models.diarizing]
tasks = ["transcription"]
routes = [
    { provider = "oracle", model = "who", diarizes = true, languages = ["en"] },
    { provider = "oracle", model = "what" },
]
"""


def asked(model: str, **values: object) -> TranscriptionOptions:
    return TranscriptionOptions.model_validate({"model": model, **values})


@pytest.mark.parametrize(
    ("model", "values", "left"),
    [
        ("mixed", {}, ["english", "alpine", "northern"]),
        ("mixed", {"language": "en"}, ["english", "northern"]),
        ("mixed", {"language": "de"}, ["alpine"]),
        ("mixed", {"language": "rm"}, ["alpine"]),
        ("mixed", {"language": "no"}, ["northern"]),
        ("mixed", {"languages": ("de", "fr")}, ["alpine"]),
        ("mixed", {"languages": ("en", "sv")}, ["northern"]),
        ("mixed", {"languages": ("en", "de")}, ["english", "alpine", "northern"]),
        ("mixed", {"languages": ("en", "ja"), "language": "de"}, ["alpine"]),
        ("mixed", {"language": "ja"}, None),
        ("mixed", {"languages": ("en", "ja")}, None),
        ("mixed", {"language": "ja", "pinned": True}, ["english", "alpine", "northern"]),
        ("mixed", {"language": "de", "pinned": True}, ["alpine"]),
        ("open", {"language": "ja"}, ["anything"]),
        ("open", {"language": "en"}, ["english", "anything"]),
        ("diarizing", {"language": "ja", "response_format": "diarized_json"}, None),
        ("diarizing", {"language": "ja"}, ["what"]),
    ],
)
def test_routes_that_do_not_hear_it_are_passed_over(
    model: str, values: dict[str, object], left: list[str] | None, tmp_path: Path
) -> None:
    catalog = load_catalog(write(tmp_path, MIXED), embedded_engines="auto")
    if left is None:
        with pytest.raises(UnsupportedLanguage):
            catalog.routes_for(asked(model, **values))
    else:
        assert [route.model for route in catalog.routes_for(asked(model, **values))] == left


def test_what_is_heard_instead_is_named(tmp_path: Path) -> None:
    catalog = load_catalog(write(tmp_path, MIXED), embedded_engines="auto", stock=DIARIZING)
    with pytest.raises(UnsupportedLanguage) as few:
        catalog.routes_for(asked("mixed", language="ja"))
    told = "The model `mixed` does not hear Japanese (`ja`) as it is served here. It hears only en, de, fr, it, rm, nb, sv."
    assert (few.value.message, few.value.param) == (told, "language")
    with pytest.raises(UnsupportedLanguage) as many:
        catalog.routes_for(asked("whisper-1", languages=("tlh",)))
    assert "does not hear `tlh` as" in many.value.message
    assert "It hears 99 languages: af, am, ar," in many.value.message
    assert many.value.message.endswith("…; GET /v1/models/whisper-1 lists them all.")
    assert many.value.param == "languages"


def test_whoever_stands_in_is_tried_in_order_and_counts_only_where_its_settings_are_given(tmp_path: Path) -> None:
    listed = """
    [providers.home]
    kind = "oracle"
    needs = ["words"]

    [embedded]
    transcription = [{ provider = "home", model = "a", languages = ["alpine"] }, { provider = "oracle", model = "b" }]
    speech = { provider = "oracle", model = "oracle" }

    [languages]
    alpine = ["de", "fr", "it"]
    """
    without = load_catalog(write(tmp_path, listed), embedded_engines="auto")
    assert [route.model for route in without.routes("whisper-1", "transcription")] == ["b"]
    both = load_catalog(write(tmp_path, listed), embedded_engines="auto", stock={"home": {"words": "some"}})
    assert [route.model for route in both.routes("whisper-1", "transcription")] == ["a", "b"]
    assert both.embedded["transcription"][0].languages == ("de", "fr", "it")
    assert both.routes("tts-1", "speech") == (Route(provider="oracle", model="oracle"),), "one table is a list of one"


@pytest.mark.parametrize(
    ("embedded", "told"),
    [
        ('transcription = [{ provider = "nobody", model = "a" }]', "'transcription' has a route to 'nobody'"),
        ('transcription = [{ provider = "oracle" }]', r"\[embedded\] transcription is wrong at routes.0.model"),
        ("transcription = 5", r"\[embedded\] transcription is wrong"),
        ('speech = { provider = "oracle", model = "a", languages = "elvish" }', "no .languages. called 'elvish'"),
    ],
)
def test_stand_ins_that_cannot_work_are_named(tmp_path: Path, embedded: str, told: str) -> None:
    with pytest.raises(CatalogBroken, match=told):
        load_catalog(write(tmp_path, f"[embedded]\n{embedded}"), embedded_engines="auto")


def test_the_languages_are_those_of_who_serves(tmp_path: Path) -> None:
    alone, routed = (
        load_catalog(write(tmp_path, MIXED), embedded_engines="auto", stock=stock) for stock in ({}, DIARIZING)
    )
    assert alone.languages("whisper-1") == alone.languages("gpt-4o-transcribe") == ("en",)
    assert routed.languages("whisper-1") == routed.model("whisper-1").languages
    assert routed.languages("gpt-4o-transcribe") == ()
    assert alone.languages("mixed") == ("en", "de", "fr", "it", "rm", "nb", "sv")
    assert alone.languages("open") == alone.languages("oracle") == ()
    assert alone.languages("tts-1") == alone.languages("espeak-ng") == alone.model("espeak-ng").languages
    assert routed.languages("tts-1") == ()
    off = load_catalog(None, embedded_engines="off")
    assert off.languages("whisper-1") == ()


@pytest.mark.parametrize(
    ("name", "english"),
    [
        ("small.en", True),
        ("/models/faster-distil-whisper-medium.en", True),
        ("distil-large-v3", True),
        ("Systran/faster-distil-whisper-large-v3.5", True),
        ("large-v3", False),
        ("distil-large-v3-de", False),
        ("", False),
    ],
)
def test_whispers_that_know_english_only(name: str, english: bool, tmp_path: Path) -> None:
    own = load_catalog(None, embedded_engines="auto", stock={"faster-whisper": {"model": name or "x"}})
    listed = own.model("whisper-1").languages
    assert own.languages("whisper-1") == (("en",) if english else listed)
    by_route = f"[models.x]\ntasks = ['transcription']\nroutes = [{{ provider = 'faster_whisper', model = '{name}' }}]"
    assert load_catalog(write(tmp_path, by_route), embedded_engines="off").languages("x") == (
        ("en",) if english else ()
    )


def test_what_follows_a_model_that_is_gone(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [models.whisper-1]
        successors = [
            { provider = "oracle", model = "both", languages = "whisper" },
            { provider = "oracle", model = "hears", tasks = ["transcription"] },
            { provider = "groq", model = "without a key" },
        ]
        """,
    )
    catalog = load_catalog(path, embedded_engines="auto", stock=DIARIZING)
    for task, left in (("transcription", ["both", "hears"]), ("translation", ["both"])):
        for route in catalog.routes("whisper-1", task):
            catalog.gone.note(route, task)
        assert [route.model for route in catalog.routes("whisper-1", task)] == left
    shipped = load_catalog(None, embedded_engines="auto", stock=DIARIZING)
    for model in shipped.ending():
        for route in model.routes:
            shipped.gone.note(route, model.tasks[0])
        assert [route.model for route in shipped.served(model.id, model.tasks[0])] == (
            ["gpt-transcribe"] if "transcription" in model.tasks else ["espeak-ng"]
        )
    broken = write(tmp_path, '[models.whisper-1]\nsuccessors = [{ provider = "nobody", model = "x" }]')
    with pytest.raises(CatalogBroken, match="nobody"):
        load_catalog(broken, embedded_engines="auto")


def test_every_voice_of_a_vendors_has_one_that_all_know() -> None:
    catalog = load_catalog(None, embedded_engines="auto")
    assert set(GEMINI_VOICES) <= set(catalog.nearest_voices)
    assert set(catalog.nearest_voices.values()) <= set(OPENAI_VOICES)


def test_speakers_are_told_apart_by_whoever_is_left() -> None:
    catalog = load_catalog(None, embedded_engines="auto", stock=DIARIZING)
    asked = TranscriptionOptions(model="gpt-4o-transcribe-diarize", response_format="diarized_json")
    (route,) = catalog.routes_for(asked)
    catalog.gone.note(route, "transcription")
    with pytest.raises(UnsupportedValue, match="`diarizes = true`"):
        catalog.routes_for(asked)
    assert catalog.routes_for(asked.model_copy(update={"channels": "separate"}))
