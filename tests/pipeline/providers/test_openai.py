"""The provider for OpenAI-compatible servers, before a server that answers badly."""

import asyncio
import base64
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.settings import Settings
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.toml_file import load_catalog
from pipeline.cut.cutter import Span
from pipeline.engines.engine_placement import Engines
from pipeline.errors import (
    CatalogBroken,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
)
from pipeline.openai_api.client import TROUBLE, Config, Server, translated
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.providers.openai import OpenAI, open_provider
from pipeline.resilience import deadline
from pipeline.resilience.circuit_breaker import CircuitBreaker
from pipeline.text.speaker_labels import told_apart
from pipeline.transcript import Heard, Segment, Word
from tests.api.serving import running
from tests.support.repository import ROOT
from tests.support.tcp_server import Reply, http, reset, say, scripted, silence

PCM = bytes(32_000)
SECRET = "sk-verysecret"
VERBOSE = b"""{"text": "Hello there.", "language": "english", "segments": [{"text": " Hello there.", "start": 0.1, "end": 0.9}],
 "words": [{"word": "Hello", "start": 0.1, "end": 0.4}, {"word": "there", "start": 0.5, "end": 0.9}]}"""
REFUSES = b'{"error": {"message": "response_format verbose_json is not compatible", "param": "response_format"}}'


def ask(*replies: Reply, **settings: object) -> tuple[Heard, list[bytes]]:
    with scripted(*replies) as server:
        given = {"base_url": f"{server.url}/v1", "api_key": SECRET, "retry_s": 3, "timeout_s": 5, **settings}
        provider = open_provider(given, Engines())
        try:
            assert provider.transcriber
            heard = provider.transcriber.hear(PCM, TranscriptionOptions(model="m", language="en"), "up")
        finally:
            provider.close()
        return heard, [request.body for request in server.requests]


def test_words_segments_and_language() -> None:
    heard, (body,) = ask(http(body=VERBOSE))
    words = (Word("Hello", 100, 400), Word("there", 500, 900))
    assert heard == Heard((Segment("Hello there.", 100, 900, words),), language="en", model_used="up")
    assert b"verbose_json" in body and body.count(b"timestamp_granularities[]") == 2


def test_what_is_sent_with_a_call() -> None:
    with scripted(http(body=VERBOSE), http(body=VERBOSE)) as server:
        for address in (server.url, server.url.replace("http://", "http://user:p%40ss@")):
            provider = open_provider({"base_url": f"{address}/v1", "api_key": SECRET}, Engines())
            assert provider.transcriber
            provider.transcriber.hear(PCM, TranscriptionOptions(model="m"), "up")
            provider.close()
        with_key, with_password = (request.headers for request in server.requests)
    assert with_key["authorization"] == f"Bearer {SECRET}"
    assert with_key["accept-encoding"] == "identity" and with_key["user-agent"] == "stenopool"
    assert with_password["authorization"] == f"Basic {base64.b64encode(b'user:p@ss').decode()}"
    assert with_password["host"] == server.url.removeprefix("http://")


def test_a_proxy_in_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(http(body=VERBOSE)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        provider = open_provider({"base_url": "http://elsewhere.invalid/v1", "api_key": SECRET}, Engines())
        assert provider.transcriber
        heard = provider.transcriber.hear(PCM, TranscriptionOptions(model="m"), "up")
        provider.close()
        (asked,) = proxy.requests
    assert heard.segments and heard.segments[0].text == "Hello there."
    assert asked.line.startswith("POST http://elsewhere.invalid/v1/audio/transcriptions ")
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.headers["content-type"].startswith("multipart/form-data")


def test_a_model_that_answers_text_only() -> None:
    heard, bodies = ask(http(400, body=REFUSES), http(body=b'{"text": "Hello."}'))
    assert heard.segments == (Segment("Hello.", 0, 1000),)
    assert b"verbose_json" not in bodies[1]


@pytest.mark.parametrize("body", [REFUSES, b"Bad Request"])
def test_several_who_learn_at_once_what_a_model_refuses(body: bytes) -> None:
    """All have been asked with times before the first is refused."""
    count = 4
    together = threading.Barrier(count)

    async def hear(request: Request) -> Response:
        if b"verbose_json" not in await request.body():
            return Response(b'{"text": "Hello."}')
        await asyncio.to_thread(together.wait, 60)
        return Response(body, status_code=400)

    app = Starlette(routes=[Route("/v1/audio/transcriptions", hear, methods=["POST"])])
    with running(app) as server, ThreadPoolExecutor(count) as pool:
        provider = open_provider({"base_url": f"{server.url}/v1", "retry_s": 0, "timeout_s": 100}, Engines())
        assert provider.transcriber
        asked = [
            pool.submit(provider.transcriber.hear, PCM, TranscriptionOptions(model="m"), "up") for _ in range(count)
        ]
        assert [call.result().segments for call in asked] == [(Segment("Hello.", 0, 1000),)] * count
        provider.close()


@pytest.mark.parametrize("status", [400, 406, 422])
def test_a_model_that_refuses_times_without_a_word(status: int) -> None:
    heard, bodies = ask(http(status, body=b"Bad Request"), http(body=b'{"text": "Hello."}'))
    assert heard.segments == (Segment("Hello.", 0, 1000),)
    assert b"verbose_json" in bodies[0] and b"verbose_json" not in bodies[1]


def test_a_refusal_that_the_format_was_not_the_reason_for() -> None:
    """The server's first word stands, and the next recording is asked for with times again."""
    close = "Connection: close\r\n"
    with scripted(http(400, close), http(400, close), http(200, close, VERBOSE), http(400, close)) as server:
        provider = open_provider({"base_url": f"{server.url}/v1", "retry_s": 0}, Engines())
        assert provider.transcriber
        for _ in range(3):
            with suppress(ProviderRefused):
                provider.transcriber.hear(PCM, TranscriptionOptions(model="m"), "up")
        provider.close()
    shapes = [b"verbose_json" in request.body for request in server.requests]
    assert shapes == [True, False, True, True], "who has answered with times is believed to take them"


def test_a_rate_limit_is_waited_for() -> None:
    heard, bodies = ask(http(429, "Retry-After: 1\r\n"), http(body=VERBOSE))
    assert heard.segments and len(bodies) == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (http(429, "Retry-After: 90\r\n"), ProviderBusy),
        (http(401, body=b"your key sk-verysecret"), ProviderRefused),
        (http(404), ProviderRefused),
        (http(413, "Connection: close\r\n", b"<html>too large"), ProviderRefused),
        (http(503), ProviderUnavailable),
        (silence, ProviderUnavailable),
        (reset, ProviderUnavailable),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"), ProviderUnavailable),
        (http(body=b"<html>hello"), ProviderNonsense),
        (http(body=b'{"text": "a", "segments": [{"text": "a", "start": NaN, "end": 1}]}'), ProviderNonsense),
    ],
)
def test_every_failure_is_one_of_ours_and_tells_no_secret(reply: Reply, kind: type[ProviderError]) -> None:
    with pytest.raises(kind) as failed:
        ask(reply, retry_s=0, timeout_s=0.5 if reply is silence else 60)
    told = str(failed.value.as_dict())
    assert "127.0.0.1" not in told and SECRET not in told and "html" not in told
    assert kind is not ProviderBusy or failed.value.details["retry_after"] == 90


def every(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(below for child in kind.__subclasses__() for below in every(child))]


@pytest.mark.parametrize("kind", [one for root in TROUBLE[:4] for one in every(root)], ids=lambda kind: kind.__name__)
def test_no_exception_of_the_client_leaves(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    assert isinstance(translated(error, "p"), ProviderError)

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise error

    server = Server(Config(base_url="http://x/v1", retry_s=0), httpx2.MockTransport(fail))
    with pytest.raises(ProviderError):
        OpenAI(server).hear(PCM, TranscriptionOptions(model="m"), "up")
    server.close()


def test_the_list_of_roots_is_complete() -> None:
    kinds = [kind for kind in vars(httpx2).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert kinds and all(issubclass(kind, TROUBLE) for kind in kinds)


def test_the_circuit_opens_and_asks_once_later() -> None:
    now = [0.0]
    circuit = CircuitBreaker("p", failures=2, seconds=10, clock=lambda: now[0])
    for _ in range(2):
        with pytest.raises(ProviderUnavailable), circuit.watching():
            raise ProviderUnavailable
    with pytest.raises(ProviderUnavailable, match="left alone"), circuit.watching():
        raise AssertionError("not asked")
    now[0] = 11
    with circuit.watching(), pytest.raises(ProviderUnavailable), circuit.watching():
        raise AssertionError("one at a time")
    with circuit.watching(), circuit.watching():
        pass


def test_routes_count_only_where_configured() -> None:
    given = load_catalog(None, embedded_engines="off", stock={"groq": {"api_key": SECRET}, "openai": {}})
    (route,) = given.routes("whisper-1", "transcription")
    assert (route.provider, route.model) == ("groq", "whisper-large-v3")
    assert not given.available("tts-1")
    assert SECRET not in repr(given)


def test_a_key_may_come_from_a_variable_that_the_catalog_names(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(
        '[providers.mine]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "KEY_OF_MINE"\n'
        '[models.m]\ntasks = ["transcription"]\nroutes = [{ provider = "mine", model = "up" }]\n'
    )
    environ = {"STENOPOOL_CATALOG": str(catalog), "KEY_OF_MINE": SECRET}

    def loaded(environ: dict[str, str]) -> Catalog:
        settings = Settings.from_env(environ)
        assert SECRET not in repr(settings) + str(settings.model_dump())
        return load_catalog(settings.catalog, embedded_engines="off", stock=settings.stock_providers)

    assert loaded(environ).providers["mine"]["api_key"] == SECRET
    with pytest.raises(CatalogBroken, match="KEY_OF_MINE, which is not set"):
        loaded({"STENOPOOL_CATALOG": str(catalog)})


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("base_url = 5", "base_url"),
        ('base_url = "x.example"', "base_url"),
        ('base_url = "http://x.example"\nconcurrency = 0', "concurrency"),
        ("max_s = 5", "no base_url"),
    ],
)
def test_broken_settings_are_found_at_the_start(tmp_path: Path, line: str, word: str) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(f'[providers.mine]\nkind = "openai"\n{line}\n')
    with pytest.raises(CatalogBroken, match=word):
        load_catalog(catalog, embedded_engines="off")


def test_the_page_about_servers_lists_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    told: dict[str, str] = {}
    for _, names, default, *_ in (line.split("|") for line in page.splitlines() if line.startswith("| `")):
        several = re.findall(r"`(\w+)`", names)
        told |= dict(zip(several, default.split(",") if len(several) > 1 else [default] * 2, strict=False))
        told |= {name: "" for name in several if name not in told}
    assert set(told) == set(Config.model_fields) - {"kind", "name", "default_base_url"}
    for name, field in Config.model_fields.items():
        assert not isinstance(field.default, int | float) or told[name].strip() == f"{field.default:.0f}", name


def test_names_of_speakers_hold_for_one_chunk() -> None:
    heard = Heard((Segment("Hi.", 0, 1, speaker="A"), Segment("Yes.", 1, 2, speaker="Ann"), Segment("No.", 2, 3)))
    whole = Span(0, 0, 9, 0, 9, "start", "end", 9, (), 9)
    second = replace(whole, index=1, left_edge="silence")
    assert told_apart(heard, whole, ()) == heard
    assert [segment.speaker for segment in told_apart(heard, second, ("Ann",)).segments] == ["2:A", "Ann", None]


def test_a_slow_listener_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of a speech that has begun is for waiting only."""
    passed = [0.0]
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))
    sound = bytes(range(256)) * 4
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nConnection: close\r\n\r\n"

    def reply(connection: socket.socket) -> None:
        connection.sendall(head + sound)
        assert heard_first.wait(60)
        connection.sendall(sound)

    heard_first = threading.Event()
    with scripted(reply) as server:
        provider = open_provider({"base_url": f"{server.url}/v1", "answer_s": 60, "retry_s": 0}, Engines())
        assert provider.speaker
        voice = iter(provider.speaker.speak(SpeechOptions(model="m", input="x"), "up"))
        assert next(voice) == sound
        passed[0] = 1000.0
        heard_first.set()
        assert next(voice) == sound
        provider.close()


def test_a_slow_speaker_is_given_up() -> None:
    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nConnection: close\r\n\r\n" + bytes(1024))
        silence(connection)

    with scripted(reply) as server:
        provider = open_provider({"base_url": f"{server.url}/v1", "answer_s": 0.5, "retry_s": 0, "tries": 1}, 1)
        assert provider.speaker
        with pytest.raises(ProviderUnavailable):
            list(provider.speaker.speak(SpeechOptions(model="m", input="x"), "up"))
        provider.close()
