"""Every model in every format, streamed or not, however the request is written: against OpenAI's schemas.

The models and what they offer come from the shipped catalog. Their routes lead to the oracle, those of the gpt models to a
server that refuses what OpenAI's refuse.
"""

import base64
import io
import itertools
import json
import wave
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx2
import jsonschema
import pytest
import srt
import webvtt

from api.main import create_app
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline import formats
from pipeline.catalog.toml_file import load_catalog
from tests.api import openai_schemas as schemas
from tests.api.conftest import recording
from tests.api.raw_http import BOUNDARY, ENCODINGS
from tests.api.serving import running
from tests.support.accounts import rich
from tests.support.openai_upstream import Upstream, upstream

pytestmark = pytest.mark.processes

CATALOG = load_catalog(None, embedded_engines="auto").models
HEARING = [name for name, model in CATALOG.items() if "transcription" in model.tasks]
TRANSLATING = [name for name, model in CATALOG.items() if "translation" in model.tasks]
SPEAKING = [name for name, model in CATALOG.items() if "speech" in model.tasks]
DIARIZING = [name for name in HEARING if "diarize" in name]
FORMATS = formats.names()
SOUND, SAID = recording(1.5)
SAMPLE = "data:audio/wav;base64," + base64.b64encode(SOUND).decode()
ASKED: dict[str, Any] = {
    "language": "en",
    "languages": ["en", "de"],
    "keywords": ["Stenopool"],
    "prompt": "A talk.",
    "temperature": "0.2",
    "include": ["logprobs"],
    "timestamp_granularities": ["word", "segment"],
    "chunking_strategy": {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300},
}


def _catalog(upstream_url: str) -> str:
    lines = ["[providers.stub]", 'kind = "openai"', f'base_url = "{upstream_url}"', 'containers = ["wav"]']
    for name, model in CATALOG.items():
        gpt = "transcription" in model.tasks and name.startswith("gpt")
        diarizes = ", diarizes = true" if name in DIARIZING else ""
        route = f'{{ provider = "{"stub" if gpt else "oracle"}", model = "{name}"{diarizes} }}'
        lines += [f'[models."{name}"]', f"routes = [{route}]"]
    limits = "limits = { max_bytes = 200_000, max_seconds = 10, max_characters = 50 }"
    return "\n".join(lines).replace('[models."oracle"]', f'[models."oracle"]\n{limits}')


@pytest.fixture(scope="module")
def behind() -> Iterator[Upstream]:
    with upstream() as place:
        yield place


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, behind: Upstream) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("home")
    (home / "catalog.toml").write_text(_catalog(behind.url))
    with build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(services: Services) -> Iterator[httpx2.Client]:
    key, _ = services.accounts.create_key(rich(services.database, "matrix"))
    with (
        running(create_app(services)) as place,
        httpx2.Client(base_url=place.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as made,
    ):
        yield made


def ask(client: httpx2.Client, task: str, encoding: str, *, sound: bytes = SOUND, **fields: Any) -> httpx2.Response:
    body = ENCODINGS[encoding].body(fields, sound)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return client.post(f"/v1/audio/{task}", content=body, headers=headers)


def check(value: Any, schema: schemas.Schema) -> None:
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


def events_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    """Every event alone: a `data:` line and an empty one, and nothing else (but comments)."""
    assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
    assert answer.text.endswith("\n\n")
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def is_right(answer: httpx2.Response, task: str, response_format: str) -> None:
    """The body is what the format says, and has every word."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-perf-model-used"] and answer.headers["x-request-id"]
    bodies = schemas.BODIES if task == "transcriptions" else schemas.TRANSLATIONS
    if response_format in bodies:
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        check(body, bodies[response_format])
        said = body["text"] if response_format != "diarized_json" else _unlabelled(body["text"])
        if "segments" in body:
            assert " ".join(segment["text"].strip() for segment in body["segments"]).split() == SAID
        if body.get("words"):
            assert [word["word"] for word in body["words"]] == SAID
    else:
        assert answer.headers["content-type"] == formats.load(response_format).media_type
        said = _unlabelled(_spoken(response_format, answer.text))
    assert said.split() == SAID


def _spoken(response_format: str, text: str) -> str:
    if response_format == "srt":
        cues = list(srt.parse(text, ignore_errors=False))
        assert all(cue.start < cue.end for cue in cues)
        assert all(one.end <= other.start for one, other in itertools.pairwise(cues))
        return "\n".join(cue.content for cue in cues)
    if response_format == "ttml":
        texts = ElementTree.fromstring(text).iter("{http://www.w3.org/ns/ttml}p")
        return "\n".join(" ".join(cue.itertext()) for cue in texts)
    if response_format == "full_json":
        return str(json.loads(text)["text"])
    if response_format == "vtt":
        return "\n".join(caption.text for caption in webvtt.from_buffer(io.StringIO(text)))
    assert text.endswith("\n")
    return text


def _unlabelled(text: str) -> str:
    return "\n".join(line.split(": ", 1)[-1] for line in text.splitlines())


def offers(model: str, response_format: str) -> bool:
    return response_format != "diarized_json" or model in DIARIZING


@pytest.mark.parametrize("response_format", FORMATS)
@pytest.mark.parametrize("model", HEARING)
def test_transcriptions(client: httpx2.Client, model: str, response_format: str) -> None:
    fields = {"model": model, "response_format": response_format, **ASKED}
    every = model in ("oracle", *DIARIZING)
    turn = (HEARING.index(model) + FORMATS.index(response_format)) % len(ENCODINGS)
    for encoding in ENCODINGS if every else [list(ENCODINGS)[turn]]:
        answer = ask(client, "transcriptions", encoding, **fields)
        if offers(model, response_format):
            is_right(answer, "transcriptions", response_format)
        else:
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "response_format")
            check(answer.json(), schemas.ERROR)


@pytest.mark.parametrize("response_format", FORMATS)
@pytest.mark.parametrize("model", HEARING)
def test_streams(client: httpx2.Client, model: str, response_format: str) -> None:
    if not offers(model, response_format):
        return
    turn = (HEARING.index(model) + FORMATS.index(response_format)) % len(ENCODINGS)
    encoding = list(ENCODINGS)[turn]
    answer = ask(client, "transcriptions", encoding, model=model, response_format=response_format, stream=True, **ASKED)
    assert answer.status_code == 200, answer.text
    told = events_of(answer)
    for event in told:
        check(event, schemas.EVENTS[event["type"]])
    deltas = [event["delta"] for event in told if event["type"] == "transcript.text.delta"]
    assert [event["type"] for event in told].index("transcript.text.done") == len(told) - 1
    assert deltas and "".join(deltas) == told[-1]["text"]
    assert told[-1]["text"].split() == SAID
    segments = [event for event in told if event["type"] == "transcript.text.segment"]
    assert bool(segments) == (response_format == "diarized_json")


@pytest.mark.parametrize("response_format", FORMATS)
@pytest.mark.parametrize("model", TRANSLATING)
def test_translations(client: httpx2.Client, model: str, response_format: str) -> None:
    turn = (TRANSLATING.index(model) + FORMATS.index(response_format)) % len(ENCODINGS)
    encoding = list(ENCODINGS)[turn]
    answer = ask(client, "translations", encoding, model=model, response_format=response_format, stream=True, **ASKED)
    if response_format == "diarized_json":
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "response_format")
    else:
        is_right(answer, "translations", response_format)


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
@pytest.mark.parametrize("model", SPEAKING)
def test_speech(client: httpx2.Client, model: str, response_format: str) -> None:
    asked = {"model": model, "input": "hello there", "voice": {"id": "nova"}, "response_format": response_format}
    plain = client.post("/v1/audio/speech", json={**asked, "instructions": "Gently.", "speed": None})
    assert plain.status_code == 200, plain.text
    assert len(plain.content) > 500
    told = events_of(client.post("/v1/audio/speech", json={**asked, "stream_format": "sse", "voice": "nova"}))
    for event in told:
        check(event, schemas.EVENTS[event["type"]])
    assert [event["type"] for event in told].index("speech.audio.done") == len(told) - 1
    assert len(b"".join(base64.b64decode(event["audio"]) for event in told[:-1])) > 500


def test_tokens_where_the_provider_counts_them(client: httpx2.Client) -> None:
    def of(model: str, **more: Any) -> Any:
        return ask(client, "transcriptions", "curl", model=model, **more).json()

    assert of("gpt-4o-transcribe")["usage"]["total_tokens"] == 59
    assert of("gpt-4o-transcribe", response_format="verbose_json")["usage"] == {"type": "duration", "seconds": 1.5}
    assert of("whisper-1")["usage"] == {"type": "duration", "seconds": 1.5}
    assert of("gpt-transcribe")["languages"] == [{"code": "en"}]
    assert [one["token"] for one in of("gpt-4o-transcribe", include=["logprobs"])["logprobs"]] == SAID
    assert "logprobs" not in of("gpt-4o-transcribe")
    assert "logprobs" not in of("whisper-1", include=["logprobs"]), "nobody knows any: absent, and no error"


@pytest.mark.parametrize(("model", "counted"), [("gpt-4o-mini-transcribe", 59), ("whisper-1", None)])
def test_a_streams_usage_is_tokens_or_absent(client: httpx2.Client, model: str, counted: int | None) -> None:
    told = events_of(ask(client, "transcriptions", "curl", model=model, stream=True, include=["logprobs"]))[-1]
    assert told.get("usage", {}).get("total_tokens") == counted
    assert ("logprobs" in told) == (counted is not None)
    assert told["perf"]["audio_duration_seconds"] == 1.5


def test_known_speakers_are_called_by_their_names(client: httpx2.Client, behind: Upstream) -> None:
    named = {"known_speaker_names": ["Ann", "Bob"], "known_speaker_references": [SAMPLE, SAMPLE]}
    for encoding in ENCODINGS:
        fields = {"model": DIARIZING[0], "response_format": "diarized_json", **named}
        body = ask(client, "transcriptions", encoding, **fields).json()
        assert [segment["speaker"] for segment in body["segments"]] == ["Ann", "Bob"], encoding
        assert behind.got[-1]["known_speaker_references[]"] == [SAMPLE, SAMPLE]


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"include": ["words"]}, "include", "Offered: logprobs"),
        ({"languages": ["en", "klingon!"]}, "languages", "ISO 639-1"),
        ({"chunking_strategy": "sometimes"}, "chunking_strategy", "'auto' or an object"),
        ({"chunking_strategy": {"type": "client_vad"}}, "chunking_strategy", "'server_vad'"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": "2"}}, "chunking_strategy", "threshold"),
        ({"known_speaker_names": ["a", "b", "c", "d", "e"]}, "known_speaker_names", "4"),
        ({"known_speaker_names": ["a", "a"]}, "known_speaker_names", "name of its own"),
        ({"known_speaker_references": [SAMPLE]}, "known_speaker_references", "0 known_speaker_names"),
        (
            {"known_speaker_names": ["a"], "known_speaker_references": ["https://x"]},
            "known_speaker_references",
            "data:",
        ),
        (
            {"known_speaker_names": ["a"], "known_speaker_references": ["data:audio/wav;base64,!!"]},
            "known_speaker_references",
            "base64",
        ),
        (
            {"known_speaker_names": ["a"], "known_speaker_references": ["data:audio/wav;base64,aGVsbG8="]},
            "known_speaker_references",
            "Unsupported audio format",
        ),
    ],
)
def test_what_cannot_be_is_named(client: httpx2.Client, fields: dict[str, Any], param: str, told: str) -> None:
    answer = ask(client, "transcriptions", "sdk for python", model="oracle", **fields)
    assert answer.status_code == 400, answer.text
    check(answer.json(), schemas.ERROR)
    assert answer.json()["error"]["param"] == param
    assert told in answer.json()["error"]["message"]


def test_models(client: httpx2.Client) -> None:
    listed = client.get("/v1/models").json()
    check(listed, schemas.MODELS)
    assert {one["id"] for one in listed["data"]} == set(CATALOG)
    for name in CATALOG:
        shown = client.get(f"/v1/models/{name}").json()
        check(shown, schemas.MODEL)
        offered = {written for end in shown["endpoints"] for written in end["formats"]}
        assert ("diarized_json" in offered) == (name in DIARIZING)
        assert set(shown["formats"]) == offered
        assert shown["description"] and shown["limits"]
        assert all(end["available"] and end["served_by"] for end in shown["endpoints"])
        assert "127.0.0.1" not in json.dumps(shown["endpoints"])
    asked = client.get("/v1/models/gpt-transcribe").json()["endpoints"][0]["served_by"][0]
    assert asked["provider"] == "stub", "the provider's own name, not its kind"


def test_jobs_take_the_same_options(client: httpx2.Client, services: Services) -> None:
    named = {"known_speaker_names": ["Ann", "Bob"], "known_speaker_references": [SAMPLE, SAMPLE]}
    fields = {"model": DIARIZING[0], "response_format": "diarized_json", **ASKED, **named}
    for encoding in ("sdk for python", "json text"):
        made = ask(client, "jobs", encoding, **fields)
        assert made.status_code == 202, made.text
        asked = made.json()["request"]
        assert (asked["languages"], asked["keywords"], asked["include"]) == (["en", "de"], ["Stenopool"], ["logprobs"])
        assert asked["chunking_strategy"]["threshold"] == 0.4
        assert asked["known_speaker_names"] == ["Ann", "Bob"]
        assert asked["known_speaker_references"] == ["data:audio/wav;base64,…"] * 2, "megabytes, perhaps"
    refused = ask(client, "jobs", "curl", model="whisper-1", response_format="diarized_json")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format")
    apart = ask(client, "jobs", "curl", model="whisper-1", response_format="diarized_json", channels="separate")
    assert apart.status_code == 202, apart.text


def test_a_text_only_model_is_timed_over_its_speech(client: httpx2.Client) -> None:
    """Two seconds of silence, speech, two of silence: captions lie where somebody speaks, not over all of it."""
    with wave.open(io.BytesIO(SOUND)) as file:
        speech = file.readframes(file.getnframes())
    held, quiet = io.BytesIO(), bytes(2 * 2 * 16_000)
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(quiet + speech + quiet)
    fields = {"model": "gpt-4o-transcribe", "timestamp_granularities": ["word", "segment"]}
    for response_format in ("verbose_json", "srt", "vtt"):
        told = ask(client, "transcriptions", "curl", sound=held.getvalue(), response_format=response_format, **fields)
        assert told.status_code == 200, told.text
        start, end = _extent(response_format, told)
        assert 1.5 <= start <= 2.6, response_format
        assert 2.9 <= end <= 4.9, response_format


def _extent(response_format: str, told: httpx2.Response) -> tuple[float, float]:
    if response_format == "verbose_json":
        segments = told.json()["segments"]
        return segments[0]["start"], segments[-1]["end"]
    if response_format == "srt":
        cues = list(srt.parse(told.text))
        return cues[0].start.total_seconds(), cues[-1].end.total_seconds()
    captions = webvtt.from_buffer(io.StringIO(told.text))
    return captions[0].start_in_seconds, captions[-1].end_in_seconds


def test_a_models_own_limits_hold_and_are_shown(client: httpx2.Client) -> None:
    shown = client.get("/v1/models/oracle").json()["limits"]
    assert (shown["max_bytes"], shown["max_seconds"], shown["max_characters"]) == (200_000, 10, 50)
    assert shown["jobs"]["max_bytes"] > 200_000
    with wave.open(io.BytesIO(SOUND)) as file:
        frames = file.readframes(file.getnframes())
    large, long = io.BytesIO(), io.BytesIO()
    for held, rate, times in ((large, 16_000, 5), (long, 8000, 4)):
        with wave.open(held, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(frames * times)
    refused = [ask(client, "transcriptions", "curl", sound=held.getvalue(), model="oracle") for held in (large, long)]
    refused.append(client.post("/v1/audio/speech", json={"model": "oracle", "input": "word " * 11, "voice": "alloy"}))
    assert [answer.json()["error"]["code"] for answer in refused] == [
        "file_too_large",
        "media_too_long",
        "invalid_request",
    ]
    assert "/v1/audio/jobs" in refused[0].json()["error"]["message"]
