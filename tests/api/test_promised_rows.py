"""What two public descriptions of such a gateway promise, row by row: this file is their table, in our own words.

A reference of the audio endpoints: fields, voices, formats, headers, prices, answers, refusals, tiers. An announcement: models,
endpoints, how they are paid, and what a model's own page shows. Exact where they are exact.
"""

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.main import create_app
from infra.keys.tiers import TIERS
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import recording
from tests.api.serving import running
from tests.support.accounts import rich
from tests.support.sound_files import encoded

pytestmark = pytest.mark.processes

SPEECH, HEAR, TRANSLATE = "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations"
MOST_CHARACTERS, MOST_BYTES = 4096, 25 * 1024 * 1024
WAV, SAID = recording(2.5)
SPOKEN = ("gemini-3.1-flash-tts-preview", "gpt-4o-mini-tts", "tts-1", "tts-1-hd")
HEARD = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-large-v3-turbo", "whisper-large-v3", "whisper-1")
CATALOG = "[providers.oracle]\nscripted = true\n" + "".join(
    f'[models."{name}"]\nroutes = [{{ provider = "oracle", model = "oracle" }}]\n' for name in SPOKEN + HEARD
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("home")
    (home / "catalog.toml").write_text(CATALOG)
    with build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(services: Services) -> Iterator[str]:
    with running(create_app(services)) as place:
        yield place.url


def client_of(server: str, services: Services, account_id: str) -> httpx2.Client:
    key, _ = services.accounts.create_key(account_id)
    return httpx2.Client(base_url=server, headers={"Authorization": f"Bearer {key}"}, timeout=120)


@pytest.fixture(scope="module")
def client(server: str, services: Services) -> Iterator[httpx2.Client]:
    with client_of(server, services, rich(services.database, "rows")) as made:
        yield made


def speak(client: httpx2.Client, **fields: Any) -> httpx2.Response:
    asked = {"model": "tts-1", "input": "alpha bravo", "voice": "nova", **fields}
    return client.post(SPEECH, json={name: value for name, value in asked.items() if value is not None})


def hear(
    client: httpx2.Client, sound: bytes = WAV, *, path: str = HEAR, name: str = "a.wav", **fields: Any
) -> httpx2.Response:
    data = {name: value for name, value in {"model": "whisper-1", **fields}.items() if value is not None}
    return client.post(path, data=data, files={"file": (name, sound)})


def refused(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["type"] == "invalid_request" and set(error) == {"message", "type", "param", "code"}
    return error


def first_sentence(message: str) -> str:
    """Without its full stop; lists of formats have none inside."""
    return re.split(r"\.(?= |$)(?! Supported)", message, maxsplit=1)[0]


# ---- text to speech --------------------------------------------------------------------------------------------------

# field, a value that is taken, one that is not, and which field the refusal names
SPEECH_FIELDS = [
    ("model", "tts-1", None, "model"),
    ("model", "tts-1-hd", "", "model"),
    ("input", "alpha", None, "input"),
    ("input", "alpha " * 682 + "alph", "alpha " * 682 + "alpha", "input"),  # 4,096 and 4,097 characters
    ("voice", "alloy", None, "voice"),
    ("response_format", None, "midi", "response_format"),
    ("speed", 0.25, 0.24, "speed"),
    ("speed", 4.0, 4.01, "speed"),
    ("speed", None, "fast", "speed"),
]


@pytest.mark.parametrize(("field", "taken", "not_taken", "param"), SPEECH_FIELDS)
def test_speech_takes(client: httpx2.Client, field: str, taken: Any, not_taken: Any, param: str) -> None:
    assert speak(client, **{field: taken}).status_code == 200
    assert refused(speak(client, **{field: not_taken}))["param"] == param


def test_speech_by_default(client: httpx2.Client) -> None:
    """mp3, at the speed 1.0."""
    default = speak(client)
    assert default.headers["content-type"] == "audio/mpeg"
    assert default.content == speak(client, response_format="mp3", speed=1.0).content


@pytest.mark.parametrize("voice", ["alloy", "echo", "fable", "onyx", "nova", "shimmer"])
def test_the_six_voices(client: httpx2.Client, voice: str) -> None:
    assert speak(client, voice=voice).status_code == 200
    for model in ("tts-1", "tts-1-hd"):
        listed = {one["id"]: one["description"] for one in client.get(f"/v1/models/{model}").json()["voices"]}
        assert listed[voice]


FORMATS = [  # format, media type, how its bytes begin
    ("mp3", "audio/mpeg", rb"ID3|\xff[\xe2-\xff]"),
    ("opus", "audio/opus", rb"OggS"),
    ("aac", "audio/aac", rb"\xff[\xf0-\xf9]"),
    ("flac", "audio/flac", rb"fLaC"),
    ("wav", "audio/wav", rb"RIFF....WAVE"),
    ("pcm", "audio/pcm", rb""),
]


@pytest.mark.parametrize(("name", "media_type", "start"), FORMATS)
def test_the_six_formats(client: httpx2.Client, name: str, media_type: str, start: bytes) -> None:
    answer = speak(client, response_format=name)
    assert answer.headers["content-type"] == media_type
    assert re.match(start, answer.content, re.DOTALL) and len(answer.content) > 500


@pytest.mark.parametrize(("model", "usd"), [("tts-1", "0.015"), ("tts-1-hd", "0.03")])
def test_speech_is_paid_by_a_thousand_characters(client: httpx2.Client, model: str, usd: str) -> None:
    thousand = ("alpha bravo " * 84)[:999] + "."
    answer = speak(client, model=model, input=thousand)
    assert answer.headers["x-perf-cost-usd"] == usd
    assert Decimal(client.get(f"/v1/models/{model}").json()["prices"]["thousand_characters"]) == Decimal(usd)


def test_what_the_head_of_speech_says(client: httpx2.Client) -> None:
    head = speak(client).headers
    assert head["x-perf-request-id"].startswith("req_")
    assert head["x-perf-model-used"] == "oracle"
    assert Decimal(head["x-perf-cost-usd"]) == Decimal("0.000165")
    assert int(head["x-perf-latency-ms"]) >= 0


# ---- speech to text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"response_format": "docx"}, "response_format"),
        ({"language": "no language"}, "language"),
    ],
)
def test_transcription_refuses(client: httpx2.Client, fields: dict[str, Any], param: str) -> None:
    assert refused(hear(client, **fields))["param"] == param


def test_a_file_is_needed(client: httpx2.Client) -> None:
    assert refused(client.post(HEAR, data={"model": "whisper-1"}, files={"other": ("a", b"x")}))["param"] == "file"


def test_the_language_may_be_named_or_found_out(client: httpx2.Client) -> None:
    texts = {hear(client, language=code).json()["text"] for code in (None, "auto", "en")}
    assert texts == {" ".join(SAID)}


TAKEN = [  # ending, how to make it
    (".mp3", ()),
    (".mp4", ("-c:a", "aac")),
    (".m4a", ("-c:a", "aac")),
    (".mpeg", ("-c:a", "mp2", "-f", "mpeg")),
    (".mpga", ("-c:a", "libmp3lame", "-f", "mp3")),
    (".wav", ()),
    (".webm", ("-c:a", "libopus")),
    (".ogg", ("-c:a", "libopus")),
    (".flac", ()),
]


@pytest.mark.parametrize(("ending", "options"), TAKEN, ids=[ending for ending, _ in TAKEN])
def test_the_nine_endings_are_taken(
    client: httpx2.Client, tmp_path: Path, ending: str, options: tuple[str, ...]
) -> None:
    sound = encoded(WAV[44:], tmp_path / f"a{ending}", options)
    assert hear(client, sound, name=f"a{ending}").json()["text"].split() == SAID


def test_a_file_has_25_mb_at_most(client: httpx2.Client) -> None:
    whole = WAV + bytes(MOST_BYTES - len(WAV))
    assert "exceeds" not in hear(client, whole).text
    too_large = refused(hear(client, whole + b"\0"))
    assert (first_sentence(too_large["message"]), too_large["code"]) == (
        "File size exceeds maximum of 25MB",
        "file_too_large",
    )


ANSWERS = [  # response_format, media type, what its body looks like
    (None, "application/json", r"\{.*\}"),
    ("json", "application/json", r"\{.*\}"),
    ("text", "text/plain; charset=utf-8", r"[\w ]+\n"),
    ("srt", "text/plain; charset=utf-8", r"1\n00:00:\d\d,\d{3} --> 00:00:\d\d,\d{3}\n.*"),
    ("vtt", "text/plain; charset=utf-8", r"WEBVTT\n\n00:00:\d\d\.\d{3} --> 00:00:\d\d\.\d{3}\n.*"),
    ("verbose_json", "application/json", r"\{.*\}"),
]


@pytest.mark.parametrize("model", HEARD)
@pytest.mark.parametrize(("name", "media_type", "body"), ANSWERS)
def test_the_five_answers(client: httpx2.Client, model: str, name: str | None, media_type: str, body: str) -> None:
    answer = hear(client, model=model, response_format=name)
    assert answer.headers["content-type"] == media_type
    assert re.fullmatch(body, answer.text, re.DOTALL)
    assert all(word in answer.text for word in SAID)
    assert {"x-perf-request-id", "x-perf-model-used", "x-perf-cost-usd", "x-perf-latency-ms"} <= set(answer.headers)


PERF = {"request_id", "model_used", "audio_duration_seconds", "cost_usd", "latency_ms"}


@pytest.mark.parametrize(("name", "seconds", "usd"), [("json", 12.5, 0.00125), ("verbose_json", 2.5, 0.00025)])
def test_a_minute_costs_six_tenths_of_a_cent(client: httpx2.Client, name: str, seconds: float, usd: float) -> None:
    answer = hear(client, recording(seconds)[0], response_format=name)
    perf = answer.json()["perf"]
    assert set(perf) == PERF
    assert (perf["audio_duration_seconds"], perf["cost_usd"]) == (seconds, usd)
    assert (perf["model_used"], perf["request_id"]) == ("oracle", answer.headers["x-perf-request-id"])
    assert Decimal(answer.headers["x-perf-cost-usd"]) == Decimal(str(usd))
    assert client.get("/v1/models/whisper-1").json()["prices"]["audio_minute"] == "0.006"


def test_what_json_and_verbose_json_have(client: httpx2.Client) -> None:
    """The language is named as OpenAI's own server names it."""
    assert {"text", "perf"} <= set(hear(client).json())
    verbose = hear(client, response_format="verbose_json").json()
    assert {"text", "segments", "language", "perf"} <= set(verbose)
    assert (verbose["language"], verbose["segments"][0]["id"]) == ("english", 0)
    assert {"id", "start", "end", "text"} <= set(verbose["segments"][0])


# ---- refusals --------------------------------------------------------------------------------------------------------

UNREADABLE = "Unsupported audio format. Supported: mp3, mp4, mpeg, mpga, m4a, wav, webm"
REFUSALS = [  # what is asked, the sentence that comes first, the field
    (lambda client: speak(client, input=None), "input text is required", "input"),
    (lambda client: speak(client, input="  "), "input text is required", "input"),
    (lambda client: hear(client, WAV + bytes(MOST_BYTES)), "File size exceeds maximum of 25MB", "file"),
    (lambda client: hear(client, b"no sound at all"), UNREADABLE, "file"),
    (lambda client: hear(client, b"\x89PNG\r\n\x1a\n" + bytes(2000)), UNREADABLE, "file"),
    (lambda client: hear(client, _unknown_codec()), UNREADABLE, "file"),
]  # fmt: skip


def _unknown_codec() -> bytes:
    """A WAV whose format tag nobody has."""
    return WAV[:20] + (0x4242).to_bytes(2, "little") + WAV[22:]


@pytest.mark.parametrize(("asked", "sentence", "param"), REFUSALS, ids=range(len(REFUSALS)))
def test_a_refusal_begins_with_its_sentence(client: httpx2.Client, asked: Any, sentence: str, param: str) -> None:
    error = refused(asked(client))
    assert first_sentence(error["message"]) == sentence
    assert error["param"] == param


# ---- tiers, money ----------------------------------------------------------------------------------------------------

RATES = [("free", 10, 10), ("pro", 60, 500), ("enterprise", None, None)]  # requests a minute, minutes a day


@pytest.mark.parametrize(("tier", "requests", "minutes"), RATES)
def test_the_three_tiers(server: str, services: Services, tier: str, requests: int | None, minutes: int | None) -> None:
    account = services.accounts.create_account("tier", tier).id
    with client_of(server, services, account) as client:
        limits = client.get("/v1/usage").json()["limits"]
    assert limits["transcription_minutes_per_day"]["limit"] == minutes
    assert TIERS[tier].speech_requests_per_minute == requests


def test_the_eleventh_speech_of_a_minute_waits(server: str, services: Services) -> None:
    account = services.accounts.create_account("free", "free").id
    services.ledger.top_up(account, 1_000_000)
    with client_of(server, services, account) as client:
        answers = [speak(client) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded" and int(answers[-1].headers["retry-after"]) > 0


def test_the_eleventh_minute_of_a_day_waits(server: str, services: Services) -> None:
    account = services.accounts.create_account("free", "free").id
    services.ledger.top_up(account, 1_000_000)
    with client_of(server, services, account) as client:
        ten = WAV[:40] + (600 * 32_000).to_bytes(4, "little") + bytes(600 * 32_000)
        assert [hear(client, ten, model="whisper-large-v3").status_code, hear(client).status_code] == [200, 429]


def test_own_numbers_for_an_enterprise(server: str, services: Services) -> None:
    account = services.accounts.create_account("own", "enterprise", limits={"speech_requests_per_minute": 1}).id
    services.ledger.top_up(account, 1_000_000)
    with client_of(server, services, account) as client:
        assert [speak(client).status_code for _ in range(2)] == [200, 429]


def test_audio_is_never_part_of_a_plan(server: str, services: Services) -> None:
    """One balance that all endpoints share, and no subscription that covers any."""
    account = services.accounts.create_account("planned", "pro", plan="gold").id
    with client_of(server, services, account) as client:
        assert [speak(client).status_code, hear(client).status_code] == [402, 402]
        services.ledger.top_up(account, 1_000)
        before = client.get("/v1/balance").json()["available"]
        paid = [
            Decimal(answer.headers["x-perf-cost-usd"])
            for answer in (speak(client), hear(client), hear(client, path=TRANSLATE))
        ]
        assert Decimal(str(before)) - sum(paid) == Decimal(str(client.get("/v1/balance").json()["available"]))
        assert all(paid)


# ---- models ----------------------------------------------------------------------------------------------------------

SPEAKS, HEARS, BOTH = {SPEECH}, {HEAR}, {HEAR, TRANSLATE}
MODELS = [  # name, where it is asked for, by which dimensions it is paid
    ("gemini-3.1-flash-tts-preview", SPEAKS, {"million_text_tokens_in", "million_audio_tokens_out"}),
    ("gpt-4o-mini-tts", SPEAKS, {"million_text_tokens_in", "million_audio_tokens_out"}),
    ("gpt-4o-transcribe", HEARS, {"million_audio_tokens_in", "million_text_tokens_in", "million_text_tokens_out"}),
    ("gpt-4o-mini-transcribe", HEARS, {"million_audio_tokens_in", "million_text_tokens_in", "million_text_tokens_out"}),
    ("whisper-large-v3-turbo", HEARS, {"audio_hour"}),
    ("whisper-large-v3", BOTH, {"audio_hour"}),
    ("whisper-1", BOTH, {"audio_minute"}),
]


@pytest.mark.parametrize(("model", "endpoints", "dimensions"), MODELS)
def test_the_announced_models(client: httpx2.Client, model: str, endpoints: set[str], dimensions: set[str]) -> None:
    page = client.get(f"/v1/models/{model}").json()
    assert {one["path"] for one in page["endpoints"]} == endpoints
    assert set(page["prices"]) - {"currency"} == dimensions
    for path in endpoints:
        answer = speak(client, model=model) if path == SPEECH else hear(client, path=path, model=model)
        assert answer.status_code == 200, answer.text
    assert model in {one["id"] for one in client.get("/v1/models").json()["data"]}


@pytest.mark.parametrize(("model", "endpoints", "dimensions"), MODELS)
def test_a_models_own_page(client: httpx2.Client, model: str, endpoints: set[str], dimensions: set[str]) -> None:
    """Endpoint and examples follow the task, a speaking model's run as they are; nothing is said of a search in the web."""
    page = client.get(f"/v1/models/{model}").json()
    assert page["endpoint"] in endpoints and len(page["examples"]) == len(endpoints)
    for task, example in page["examples"].items():
        ast.parse(example["python"])
        assert {"transcription": "transcriptions", "translation": "translations", "speech": "speech"}[task] in example[
            "curl"
        ]
    assert endpoints != SPEAKS or "openai" in page["examples"]["speech"]["python"]
    assert "search" not in str({**page, "examples": None, "description": None})


def test_the_ratio_is_tuned_at_run_time(client: httpx2.Client, services: Services) -> None:
    try:
        services.ratios.set("whisper-1", Decimal(3))
        assert hear(client).headers["x-perf-cost-usd"] == "0.00075"
    finally:
        services.ratios.clear("whisper-1")
    assert hear(client).headers["x-perf-cost-usd"] == "0.00025"
