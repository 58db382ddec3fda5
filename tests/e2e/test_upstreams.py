"""Behind the API, a server that does one thing wrong: alone, and with a second route behind it.

Alone it ends in an error of the usual shape that names the provider; with a second route in the right answer, and the truth about
who gave it. Whatever it does, none of its words, its key and its address come out, neither in an answer nor in a log.
"""

import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import recording
from tests.api.serving import Running, running
from tests.e2e.test_cascade import key_of
from tests.support.tcp_server import Reply, Request, Scripted, forever, http, reset, say, scripted, silence

WORDS = "vendor-words-7f3a"  # in everything that such a server says
KEY = "key-of-the-upstream-51c0"
CLOSE = f"Connection: close\r\nX-Vendor: {WORDS}\r\n"
VERBOSE = b"""{"text": "hello there", "language": "english", "segments": [{"text": "hello there", "start": 0.1, "end": 0.9}]}"""
TRANSCRIPTIONS, TRANSLATIONS, SPEECH = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech"
SOUND, SAID = recording(2.0)


def told(status: int, headers: str = "", body: str = "{}") -> Reply:
    """An answer with the vendor's words, its key and its address in it."""
    return http(status, CLOSE + headers, body.replace("{}", f'{{"error": {{"message": "{WORDS} {KEY}"}}}}').encode())


def refuses_verbose(request: Request) -> Reply:
    if b"verbose_json" in request.body:
        return told(400, body=f'{{"error": {{"message": "{WORDS}", "param": "response_format"}}}}')
    return http(200, CLOSE, b'{"text": "hello there"}')


@dataclass(frozen=True)
class Fault:
    """What an upstream does, and the code that callers read when it is alone; none where its answer is good enough."""

    reply: Reply | Callable[[Request], Reply]
    code: str | None = None
    by_request: bool = False
    slow: bool = False  # only patience ends it


REFUSED, GONE, BUSY, NONSENSE = "provider_refused", "provider_unavailable", "provider_busy", "provider_nonsense"
BOTH = {
    "busy": Fault(told(429, "Retry-After: 30\r\n"), BUSY),
    "no_quota": Fault(told(429, body=f'{{"error": {{"code": "insufficient_quota", "message": "{WORDS}"}}}}'), REFUSED),
    "hangs": Fault(silence, GONE, slow=True),
    "hangs_up": Fault(reset, GONE),
    "html": Fault(http(200, CLOSE + "Content-Type: text/html\r\n", f"<html>{WORDS}</html>".encode() * 9), NONSENSE),
    "failing": Fault(told(500), GONE),
    "unauthorised": Fault(told(401), REFUSED),
    "redirects": Fault(told(302, f"Location: http://127.0.0.1:9/{KEY}\r\n"), NONSENSE),
    "garbled": Fault(say(f"220 {WORDS} ready\r\n\r\n".encode()), GONE),
    "drips_headers": Fault(forever(f"HTTP/1.1 200 OK\r\nX-Vendor: {WORDS}".encode(), b"a", 0.02), GONE, slow=True),
    "drips_a_body": Fault(forever(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" ", 0.02), GONE, slow=True),
    "endless_error": Fault(
        forever(b"HTTP/1.1 500 X\r\nContent-Length: 99999\r\n\r\n", b"vendor-words-7f3a", 0.02), GONE, slow=True
    ),
}
HEARING = BOTH | {
    "no_verbose": Fault(refuses_verbose, by_request=True),
    "cuts_a_body": Fault(say(f'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{{"text": "{WORDS}'.encode()), GONE),
    "truncated": Fault(http(200, CLOSE, f'{{"text": "{WORDS}", "segm'.encode()), NONSENSE),
    "error_with_200": Fault(told(200), NONSENSE),
    "silent": Fault(http(200, CLOSE, b'{"text": ""}')),
    "too_small": Fault(told(413), REFUSED),
}
SPEAKING = BOTH | {
    "json": Fault(told(200, "Content-Type: audio/pcm\r\n"), NONSENSE),
    "mp3": Fault(
        http(200, CLOSE + "Content-Type: audio/pcm\r\n", b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(900)), NONSENSE
    ),
    "nothing": Fault(http(200, CLOSE + "Content-Type: audio/pcm\r\n"), NONSENSE),
}
LOST = {"hears-lost": Fault(told(404)), "speaks-lost": Fault(told(410))}  # whose model is there no more
FAULTS = (
    LOST
    | {f"hears-{name}": fault for name, fault in HEARING.items()}
    | {f"speaks-{name}": fault for name, fault in SPEAKING.items()}
)
SETTINGS = f'kind = "openai"\napi_key = "{KEY}"\ntries = 2\nretry_s = 0.3\nanswer_ratio = 0\ncircuit_failures = 9999\n'


def answering(server: Scripted, choose: Callable[[Request], Reply]) -> Reply:
    def reply(connection: socket.socket) -> None:
        choose(server.requests[-1])(connection)

    return reply


@dataclass
class Rig:
    """The running API, and where the upstreams are."""

    place: Running
    headers: dict[str, str]
    servers: dict[str, Scripted]
    services: Services

    def post(self, path: str, **content: Any) -> httpx2.Response:
        with httpx2.Client(timeout=60) as client:
            return client.post(f"{self.place.url}{path}", headers=self.headers, **content)

    def hear(self, model: str, sound: bytes = SOUND, path: str = TRANSCRIPTIONS, **fields: str) -> httpx2.Response:
        return self.post(path, data={"model": model, **fields}, files={"file": ("talk.wav", sound)})

    def speak(self, model: str, **fields: str) -> httpx2.Response:
        return self.post(
            SPEECH, json={"model": model, "input": "seven river", "voice": "alloy", "response_format": "wav", **fields}
        )


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    home = tmp_path_factory.mktemp("upstreams")
    with ExitStack() as opened:
        servers = {name: opened.enter_context(scripted(silence)) for name in FAULTS}
        parts = []
        for name, server in servers.items():
            fault = FAULTS[name]
            server.replies = [answering(server, fault.reply) if fault.by_request else fault.reply]
            parts.append(
                f'[providers."bad-{name}"]\nbase_url = "{server.url}/v1"\n{SETTINGS}answer_s = {0.4 if fault.slow else 30}\n'
            )
            bad, good = f'{{ provider = "bad-{name}", model = "up" }}', '{ provider = "oracle", model = "oracle" }'
            tasks = '["speech"]' if name.startswith("speaks") else '["transcription", "translation"]'
            parts.append(f'[models."{name}-alone"]\ntasks = {tasks}\nroutes = [{bad}]\n')
            parts.append(f'[models."{name}-second"]\ntasks = {tasks}\nroutes = [{bad}, {good}]\n')
        catalog = home / "catalog.toml"
        catalog.write_text("".join(parts))
        services = opened.enter_context(build(Settings(home=home, catalog=catalog), engine_processes=1))
        secret = key_of(services)
        place = opened.enter_context(running(create_app(services)))
        yield Rig(place, {"Authorization": f"Bearer {secret}"}, servers, services)


@pytest.fixture(autouse=True)
def _nothing_leaks_into_logs(rig: Rig, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO), caplog.at_level(logging.WARNING, "httpx2"):  # as the product sets it
        yield
    kept = [record for record in caplog.get_records("call") if not record.name.startswith("httpx2")]
    formatter = logging.Formatter()
    check_secret("\n".join(formatter.format(record) + str(record.__dict__) for record in kept), rig)


def check_secret(text: str, rig: Rig) -> None:
    assert WORDS not in text and KEY not in text and "<html" not in text
    ports = {str(server.port) for server in rig.servers.values()}
    assert not ports & set(re.findall(r"127\.0\.0\.1:(\d+)", text))


def check_failed(answer: httpx2.Response, provider: str, code: str, rig: Rig) -> None:
    """An error of the usual shape that names the provider, and none of its secrets."""
    check_secret(answer.text + str(answer.headers), rig)
    assert answer.status_code in (502, 503), answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert provider in error["message"]
    if code == BUSY:
        assert int(answer.headers["retry-after"]) == 30


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("name", HEARING)
def test_hearing_alone(rig: Rig, name: str) -> None:
    answer = rig.hear(f"hears-{name}-alone", response_format="verbose_json")
    if code := HEARING[name].code:
        check_failed(answer, f"bad-hears-{name}", code, rig)
    else:
        check_secret(answer.text + str(answer.headers), rig)
        assert answer.status_code == 200 and answer.headers["x-perf-model-used"] == "up"
        assert answer.json()["text"] == ("" if name == "silent" else "hello there")


@pytest.mark.parametrize("name", HEARING)
def test_hearing_with_a_second_route(rig: Rig, name: str) -> None:
    answer = rig.hear(f"hears-{name}-second")
    check_secret(answer.text + str(answer.headers), rig)
    assert answer.status_code == 200, answer.text
    fell_back = HEARING[name].code is not None
    assert (
        answer.headers["x-perf-model-used"] == answer.json()["perf"]["model_used"] == ("oracle" if fell_back else "up")
    )
    assert not fell_back or answer.json()["text"].split() == SAID


@pytest.mark.parametrize("name", HEARING)
def test_hearing_as_a_stream(rig: Rig, name: str) -> None:
    alone = rig.hear(f"hears-{name}-alone", stream="true")
    check_secret(alone.text + str(alone.headers), rig)
    if code := HEARING[name].code:
        check_failed(alone, f"bad-hears-{name}", code, rig)
    else:
        assert events(alone)[-1]["type"] == "transcript.text.done"
    second = rig.hear(f"hears-{name}-second", stream="true")
    check_secret(second.text + str(second.headers), rig)
    *deltas, done = events(second)
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in deltas) == done["text"]
    assert HEARING[name].code is None or (done["text"].split(), done["perf"]["model_used"]) == (SAID, "oracle")


@pytest.mark.parametrize("name", ["busy", "html", "hangs_up", "no_verbose"])
def test_translating(rig: Rig, name: str) -> None:
    alone = rig.hear(f"hears-{name}-alone", path=TRANSLATIONS)
    if code := HEARING[name].code:
        check_failed(alone, f"bad-hears-{name}", code, rig)
    second = rig.hear(f"hears-{name}-second", path=TRANSLATIONS)
    assert second.status_code == 200
    assert second.headers["x-perf-model-used"] == ("oracle" if HEARING[name].code else "up")


@pytest.mark.parametrize("name", SPEAKING)
def test_speaking(rig: Rig, name: str) -> None:
    code = SPEAKING[name].code
    assert code
    check_failed(rig.speak(f"speaks-{name}-alone"), f"bad-speaks-{name}", code, rig)
    second = rig.speak(f"speaks-{name}-second")
    check_secret(str(second.headers), rig)
    assert (second.status_code, second.headers["x-perf-model-used"]) == (200, "oracle")
    assert rig.hear("oracle", second.content).json()["text"] == "seven river"


@pytest.mark.parametrize("name", ["busy", "html", "hangs"])
def test_speaking_as_events(rig: Rig, name: str) -> None:
    code = SPEAKING[name].code
    assert code
    check_failed(rig.speak(f"speaks-{name}-alone", stream_format="sse"), f"bad-speaks-{name}", code, rig)
    second = rig.speak(f"speaks-{name}-second", stream_format="sse")
    assert [event["type"] for event in events(second)][-1] == "speech.audio.done"


def test_a_model_that_is_gone_is_no_failure(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.gone_routes.REMEMBERED_S", 1e9)
    for _ in range(2):
        for route, (ear, voice) in {
            "alone": ("pocketsphinx-en-us", "espeak-ng"),
            "second": ("oracle", "oracle"),
        }.items():
            heard, translated = (rig.hear(f"hears-lost-{route}", path=path) for path in (TRANSCRIPTIONS, TRANSLATIONS))
            spoken = rig.speak(f"speaks-lost-{route}")
            for answer, model in ((heard, ear), (translated, ear), (spoken, voice)):
                check_secret(str(answer.headers), rig)
                assert (answer.status_code, answer.headers["x-perf-model-used"]) == (200, model)
    for name in LOST:
        lines = [request.line for request in rig.servers[name].requests]
        assert sorted(lines) == sorted(set(lines)), "it is remembered"


def test_all_of_several_routes_that_failed_are_named(rig: Rig, tmp_path: Path) -> None:
    names = ("hears-html", "hears-failing")
    routes = ", ".join(f'{{ provider = "bad-{name}", model = "up" }}' for name in names)
    parts = [f'[providers."bad-{name}"]\nbase_url = "{rig.servers[name].url}/v1"\n{SETTINGS}' for name in names]
    catalog = tmp_path / "catalog.toml"
    catalog.write_text("".join([*parts, f'[models.both]\ntasks = ["transcription"]\nroutes = [{routes}]\n']))
    with build(Settings(home=tmp_path, catalog=catalog), engine_processes=1) as services:
        secret = key_of(services)
        with running(create_app(services)) as place:
            answer = Rig(place, {"Authorization": f"Bearer {secret}"}, rig.servers, services).hear("both")
    check_secret(answer.text + str(answer.headers), rig)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "providers_failed"
    assert all(f"bad-{name}" in answer.json()["error"]["message"] for name in names)
