"""Transcriptions that take their time, over real connections: events while it is heard, JSON with a heartbeat."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from api.main import create_app
from api.sync import transcription_response
from infra.settings import Settings
from infra.wiring import build
from pipeline.openai_api.client import Config
from tests.api.conftest import recording
from tests.api.serving import running
from tests.support.accounts import rich

pytestmark = pytest.mark.processes

CATALOG = """
[providers.oracle]
scripted = true
log = "{home}/calls"
max_s = 4
min_s = 1.5

[models.whisper-1]
routes = [{{ provider = "oracle", model = "oracle" }}]
"""
SOUND, SAID = recording(24.0, seed=5)
LATE = SAID[-2]
assert LATE not in SAID[:-6]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx2.Client]:
    catalog = home / "catalog.toml"
    catalog.write_text(CATALOG.format(home=home))
    with build(Settings(home=home, catalog=catalog), engine_processes=1) as services:
        key, _ = services.accounts.create_key(rich(services.database, "slow"))
        with (
            running(create_app(services)) as place,
            httpx2.Client(base_url=place.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as made,
        ):
            yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats after a twentieth of a second."""
    monkeypatch.setattr("api.sync.transcription_response.JSON_PATIENCE", 0.05)
    monkeypatch.setattr("api.sync.transcription_response.KEEPALIVE_SECONDS", 0.05)


def asked(client: httpx2.Client, orders: str, **fields: str) -> Any:
    """The answer while it comes."""
    data = {"model": "oracle", "prompt": f"oracle: {orders}", **fields}
    return client.stream("POST", "/v1/audio/transcriptions", data=data, files={"file": ("a.wav", SOUND)})


def raw(answer: httpx2.Response) -> tuple[bytes, bool]:
    """What came, and whether it came to its end."""
    came = b""
    try:
        for block in answer.iter_raw():
            came += block
    except httpx2.RemoteProtocolError:
        return came, False
    return came, True


def events(came: bytes) -> list[dict[str, Any]]:
    parts = came.decode().strip().split("\n\n")
    return [json.loads(part.removeprefix("data: ")) for part in parts if part != ": keepalive"]


def test_deltas_leave_while_later_chunks_are_still_being_heard(client: httpx2.Client, home: Path) -> None:
    with asked(client, f"until=first-delta at={LATE}", stream="true") as answer:
        lines = answer.iter_lines()
        first = json.loads(next(lines).removeprefix("data: "))
        (home / "first-delta").touch()
        assert answer.headers["x-perf-model-used"] == "oracle" and int(answer.headers["x-perf-latency-ms"]) > 0
        assert answer.headers["x-perf-cost-usd"] == "0", "it is free, however long it is"
        rest = events("\n".join(lines).encode())
    deltas = [first, *rest[:-1]]
    assert {one["type"] for one in deltas} == {"transcript.text.delta"} and len(deltas) > 3
    assert "".join(one["delta"] for one in deltas) == rest[-1]["text"]
    assert rest[-1]["type"] == "transcript.text.done"
    assert rest[-1]["text"].split() == SAID
    assert "usage" not in rest[-1], "which clients take for tokens, and nobody counted any"
    assert rest[-1]["perf"]["audio_duration_seconds"] == 24.0
    assert rest[-1]["perf"]["model_used"] == "oracle"


@pytest.mark.usefixtures("impatient")
def test_a_stream_is_kept_alive_by_comments_alone(client: httpx2.Client) -> None:
    with asked(client, "latency=0.3", stream="true") as answer:
        came, whole = raw(answer)
    assert whole
    assert b": keepalive\n\n" in came
    assert {line.split(b":")[0] for line in came.split(b"\n") if line} == {b"data", b""}
    assert events(came)[-1]["text"].split() == SAID


def test_a_failure_in_the_middle_is_an_event_after_the_deltas(client: httpx2.Client) -> None:
    with asked(client, f"latency=0.1 fail=99 at={LATE} error=busy", stream="true") as answer:
        assert answer.status_code == 200
        came, whole = raw(answer)
    *deltas, last = events(came)
    assert whole and deltas
    assert {one["type"] for one in deltas} == {"transcript.text.delta"}
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert "oracle" in last["error"]["message"]


def test_silence_is_streamed_as_an_end_without_deltas(client: httpx2.Client) -> None:
    silence = SOUND[:44] + bytes(len(SOUND) - 44)
    form = {"data": {"model": "oracle", "stream": "true"}, "files": {"file": ("a.wav", silence)}}
    answer = client.post("/v1/audio/transcriptions", **form)
    (only,) = events(answer.content)
    assert (only["type"], only["text"]) == ("transcript.text.done", "")
    assert (answer.headers["x-perf-model-used"], only["perf"]["model_used"]) == ("none", "none"), "nobody was asked"


@pytest.mark.usefixtures("impatient")
def test_json_that_begins_early_promises_the_most_that_it_will_cost(client: httpx2.Client) -> None:
    with asked(client, "latency=0.3", model="whisper-1") as answer:
        assert "x-perf-cost-usd" not in answer.headers, "nobody knows yet"
        assert answer.headers["x-perf-model-used"] == "oracle"
        came, whole = raw(answer)
    cost = json.loads(came)["perf"]["cost_usd"]
    assert whole and cost == 0.0024 <= float(answer.headers["x-perf-cost-usd-max"])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["json", "verbose_json"])
def test_json_that_takes_long_begins_with_spaces(client: httpx2.Client, name: str) -> None:
    with asked(client, "latency=0.3", response_format=name) as answer:
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-perf-model-used"] == "oracle" and answer.headers["x-request-id"]
        assert int(answer.headers["x-perf-latency-ms"]) > 0
        assert answer.headers["transfer-encoding"] == "chunked"
        came, whole = raw(answer)
    assert whole
    assert came.startswith(b"  ")
    body = json.loads(came)
    assert body["text"].split() == SAID
    assert body["perf"]["model_used"] == "oracle"


@pytest.mark.usefixtures("impatient")
def test_a_failure_after_the_first_byte_is_written_down_and_breaks_off(client: httpx2.Client) -> None:
    with asked(client, "latency=0.3 fail=99") as answer:
        assert answer.status_code == 200
        came, whole = raw(answer)
    assert not whole, "no client may take it for a transcript"
    assert json.loads(came)["error"]["code"] == "provider_unavailable"
    sdk = openai.OpenAI(
        base_url=f"{str(client.base_url).rstrip('/')}/v1",
        api_key=client.headers["authorization"].split()[1],
        max_retries=0,
    )
    with sdk, pytest.raises(openai.APIConnectionError):
        sdk.audio.transcriptions.create(model="oracle", file=SOUND, prompt="oracle: latency=0.3 fail=99")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["text", "srt", "vtt"])
def test_text_has_no_heartbeat(client: httpx2.Client, name: str) -> None:
    with asked(client, "latency=0.2", response_format=name) as answer:
        came, _ = raw(answer)
    assert int(answer.headers["content-length"]) == len(came)
    assert came[:1].isalnum()


def test_a_stream_that_begins_when_all_is_heard_says_what_it_cost(client: httpx2.Client) -> None:
    form = {"data": {"model": "oracle", "stream": "true"}, "files": {"file": ("a.wav", recording(2.0, seed=5)[0])}}
    answer = client.post("/v1/audio/transcriptions", **form)
    assert events(answer.content)[-1]["type"] == "transcript.text.done"
    assert answer.headers["x-perf-model-used"] == "oracle"
    assert int(answer.headers["x-perf-latency-ms"]) >= 0


def test_a_failure_that_comes_late_has_a_status_all_the_same(client: httpx2.Client) -> None:
    """Spaces begin when a provider that hangs has been given up, not before."""
    assert Config().answer_s + Config().connect_s + 5 < transcription_response.JSON_PATIENCE
    assert transcription_response.JSON_PATIENCE < 60, "what proxies wait for an answer"
    with asked(client, "latency=0.3 fail=99") as refused:
        assert refused.status_code == 503
        raw(refused)


def test_what_is_quick_has_a_status_and_a_length(client: httpx2.Client) -> None:
    with asked(client, "") as answer:
        came, _ = raw(answer)
    assert int(answer.headers["content-length"]) == len(came)
    assert came.startswith(b"{")
    with asked(client, "fail=99") as refused:
        assert refused.status_code == 503
        raw(refused)
