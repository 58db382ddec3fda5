"""Gemini's speech, before a server that speaks as Google's does and before ones that answer badly."""

import importlib
import inspect
import logging
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
from google import genai
from google.genai import errors
from pydantic import ValidationError

from pipeline.catalog.toml_file import load_catalog
from pipeline.engines.engine_placement import Engines
from pipeline.errors import (
    CatalogBroken,
    ModelGone,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
)
from pipeline.options import SpeechOptions
from pipeline.provider_protocol import OPENAI_VOICES, Provider, Voice
from pipeline.providers.gemini import GEMINI_VOICES, VOICES, open_provider, translated
from pipeline.transcript import TokenUsage
from tests.support.gemini_server import KEY, GeminiServer, event, gemini, part, tones
from tests.support.tcp_server import Reply, http, reset, say, scripted, silence

MODEL = "gemini-3.1-flash-tts-preview"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
SOUND = tones("abc", "Kore")


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    with gemini() as running:
        yield running


@pytest.fixture
def provider(server: GeminiServer) -> Iterator[Provider]:
    opened = open_provider({"base_url": server.url, "api_key": KEY}, Engines())
    yield opened
    opened.close()


def speak(provider: Provider, text: str = "Hello. And bye.", model: str = MODEL, **options: object) -> Iterator[bytes]:
    assert provider.speaker
    return provider.speaker.speak(SpeechOptions.model_validate({"model": "m", "input": text, **options}), model)


def answered(*replies: Reply, **settings: object) -> bytes:
    """The sound that a scripted server gives, or its error as one of ours."""
    with scripted(*replies) as place:
        given = {"base_url": place.url, "api_key": KEY, "retry_s": 5, "timeout_s": 20, **settings}
        opened = open_provider(given, Engines())
        try:
            return b"".join(speak(opened, "abc"))
        finally:
            opened.close()


def refusal(status: int, reason: str, *details: dict[str, object], headers: str = "") -> Reply:
    body = {"error": {"code": status, "message": f"secret {KEY} at 127.0.0.1", "status": reason, "details": details}}
    return http(status, headers, event(body).removeprefix(b"data: "))


def test_the_text_the_voice_and_the_key_arrive(provider: Provider, server: GeminiServer) -> None:
    sound = b"".join(speak(provider, voice="nova", instructions="Say it cheerfully."))
    assert sound == tones("Hello.", "Laomedeia") + tones(" And bye.", "Laomedeia")
    path, headers, body = server.requests[0]
    assert path == f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
    assert headers["x-goog-api-key"] == KEY
    assert body["generationConfig"]["responseModalities"] == ["AUDIO"]
    said = body["contents"][0]["parts"][0]["text"]
    notes, _, transcript = said.partition("#### TRANSCRIPT\n")
    assert transcript == "Hello. And bye." and "Say it cheerfully." in notes


def test_without_instructions_there_are_no_notes(provider: Provider, server: GeminiServer) -> None:
    b"".join(speak(provider))
    assert "NOTES" not in server.requests[0][2]["contents"][0]["parts"][0]["text"]


def test_newer_models_take_the_text_alone_and_the_style_beside_it(provider: Provider, server: GeminiServer) -> None:
    b"".join(speak(provider, "Why?", model="gemini-3.8-flash-tts", instructions="calm"))
    assert server.requests[0][2]["contents"][0]["parts"] == [{"text": "Why?", "speechMetadata": {"style": "calm"}}]


@pytest.mark.parametrize("name", ["Kore", "kore", "ZEPHYR"])
def test_geminis_own_voices_pass_through(provider: Provider, name: str) -> None:
    assert b"".join(speak(provider, "abc", voice=name)) == tones("abc", name.title())


def test_further_voices_can_be_configured(server: GeminiServer) -> None:
    opened = open_provider({"base_url": server.url, "api_key": KEY, "voices": ["NewOne"]}, Engines())
    assert b"".join(speak(opened, "abc", voice="newone")) == tones("abc", "NewOne")
    opened.close()


def test_every_voice_of_openai_stands_for_another_of_geminis() -> None:
    assert set(VOICES) == set(OPENAI_VOICES)
    assert len(set(VOICES.values())) == len(VOICES) and set(VOICES.values()) <= set(GEMINI_VOICES)


def test_the_first_sound_comes_while_the_rest_is_not_yet_there(provider: Provider, server: GeminiServer) -> None:
    server.may_go_on.clear()
    coming = speak(provider)
    assert next(coming) == tones("Hello.", VOICES["alloy"])
    server.may_go_on.set()
    assert b"".join(coming) == tones(" And bye.", VOICES["alloy"])


def test_who_stops_listening_hangs_up(provider: Provider, server: GeminiServer) -> None:
    server.may_go_on.clear()
    coming = speak(provider, "Some words. " * 500)
    next(coming)
    assert isinstance(coming, Voice)
    coming.close()
    server.may_go_on.set()
    assert server.hung_up.wait(60)


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_tokens_are_counted(provider: Provider, speed: float) -> None:
    coming = speak(provider, speed=speed)
    assert isinstance(coming, Voice) and coming.usage is None
    b"".join(coming)
    length = len(tones("Hello.", "x")) // 1920 + len(tones(" And bye.", "x")) // 1920
    assert coming.usage == TokenUsage(text_in=12, audio_out=length)


def test_a_sample_torn_between_two_parts_is_whole_again() -> None:
    torn = part(SOUND[:1001]) + part(SOUND[1001:]) + part(finishReason="STOP")
    assert answered(say(SSE + torn)) == SOUND


@pytest.mark.parametrize("mime", ["audio/L16", "audio/pcm", "audio/l16; rate=24000; channels=1"])
def test_a_rate_that_is_not_told_is_the_usual_one(mime: str) -> None:
    assert answered(say(SSE + part(SOUND, mime=mime, finishReason="STOP"))) == SOUND


def test_a_model_that_does_not_stream_is_asked_for_the_whole() -> None:
    whole = part(SOUND, finishReason="STOP").removeprefix(b"data: ")
    with scripted(refusal(404, "NOT_FOUND", headers="Connection: close\r\n"), http(body=whole)) as place:
        opened = open_provider({"base_url": place.url, "api_key": KEY}, Engines())
        assert b"".join(speak(opened, "abc")) == SOUND
        opened.close()
        assert [request.line.split(":")[1].split()[0] for request in place.requests] == [
            "streamGenerateContent?alt=sse",
            "generateContent",
        ]


def test_a_hiccup_and_a_rate_limit_are_overcome() -> None:
    soon = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.8s"}
    good = say(SSE + part(SOUND, finishReason="STOP"))
    assert answered(http(503), refusal(429, "RESOURCE_EXHAUSTED", soon), good, retry_s=15) == SOUND


STREAM = SSE + part(SOUND)
FAILURES = [
    (refusal(400, "INVALID_ARGUMENT"), ProviderRefused),
    (refusal(401, "UNAUTHENTICATED"), ProviderRefused),
    (refusal(403, "PERMISSION_DENIED"), ProviderRefused),
    (refusal(404, "NOT_FOUND"), ModelGone),
    (refusal(410, "GONE"), ModelGone),
    (refusal(429, "RESOURCE_EXHAUSTED"), ProviderBusy),
    (refusal(500, "INTERNAL"), ProviderUnavailable),
    (refusal(503, "UNAVAILABLE"), ProviderUnavailable),
    (refusal(504, "DEADLINE_EXCEEDED"), ProviderUnavailable),
    (http(302, "Location: http://127.0.0.1:1/\r\n"), ProviderNonsense),
    (http(500, body=b"<html>nginx"), ProviderUnavailable),
    (http(400, body=b"[]"), ProviderError),
    (http(400, body=b'"text"'), ProviderError),
    (http(200, body=b"<html>hello"), ProviderNonsense),
    (http(200, body=b""), ProviderNonsense),
    (http(200, body=b"data: {}\n\n"), ProviderNonsense),
    (http(200, body=b'data: {"candidates": 7}\n\n'), ProviderNonsense),
    (silence, ProviderUnavailable),
    (reset, ProviderUnavailable),
    (say(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\ndata: {"), ProviderUnavailable),
    (say(STREAM), ProviderNonsense),
    (say(SSE + part(finishReason="STOP")), ProviderNonsense),
    (say(STREAM + part(finishReason="OTHER")), ProviderNonsense),
    (say(STREAM + part(finishReason="MAX_TOKENS")), ProviderNonsense),
    (say(STREAM + part(finishReason="SAFETY")), ProviderRefused),
    (say(SSE + part(finishReason="PROHIBITED_CONTENT")), ProviderRefused),
    (say(SSE + event({"promptFeedback": {"blockReason": "SAFETY"}})), ProviderRefused),
    (say(SSE + event({"error": {"code": 503, "message": KEY, "status": "UNAVAILABLE"}})), ProviderUnavailable),
    (say(SSE + event({"error": {"message": KEY}})), ProviderNonsense),
    (say(SSE + part(SOUND, mime="audio/mpeg", finishReason="STOP")), ProviderNonsense),
    (say(SSE + part(SOUND, mime="audio/L16;rate=48000", finishReason="STOP")), ProviderNonsense),
    (say(SSE + event({"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]})), ProviderNonsense),
]


@pytest.mark.parametrize(("reply", "kind"), FAILURES, ids=[str(number) for number in range(len(FAILURES))])
def test_every_failure_is_one_of_ours_and_tells_no_secret(
    reply: Reply, kind: type[ProviderError], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(kind) as failed:
        answered(reply, retry_s=0, timeout_s=1.5 if reply is silence else 60)
    told = str(failed.value.as_dict()) + caplog.text
    assert KEY not in told and "127.0.0.1" not in told and "html" not in told
    assert failed.value.details["provider"] == "gemini"


def test_a_long_rate_limit_says_how_long() -> None:
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "90.5s"}
    with pytest.raises(ProviderBusy) as failed:
        answered(refusal(429, "RESOURCE_EXHAUSTED", {"@type": "x"}, delay))
    assert failed.value.details["retry_after"] == 90.5
    with pytest.raises(ProviderBusy) as failed:
        answered(refusal(429, "RESOURCE_EXHAUSTED", headers="Retry-After: 77\r\n"))
    assert failed.value.details["retry_after"] == 77


def test_after_several_failures_it_is_left_alone() -> None:
    with scripted(http(500)) as place:
        opened = open_provider({"base_url": place.url, "api_key": KEY, "retry_s": 0, "circuit_failures": 2}, Engines())
        for _ in range(4):
            with pytest.raises(ProviderUnavailable):
                b"".join(speak(opened))
        opened.close()
        assert place.connections == 2


def test_a_closed_one_and_one_without_a_key_say_so(server: GeminiServer) -> None:
    opened = open_provider({"base_url": server.url, "api_key": KEY, "retry_s": 0}, Engines())
    opened.close()
    with pytest.raises(ProviderUnavailable, match="closed"):
        next(speak(opened))
    with pytest.raises(ProviderRefused, match="STENOPOOL_GEMINI_API_KEY"):
        next(speak(open_provider({}, Engines())))
    assert not server.requests


@pytest.mark.parametrize("broken", [{"base_url": "ftp://x"}, {"api_key": "two words"}, {"nonsense": 1}])
def test_settings_that_make_no_sense_are_found_at_once(broken: dict[str, object]) -> None:
    with pytest.raises(CatalogBroken) as failed:
        open_provider(broken, Engines())
    assert "two words" not in failed.value.message


def test_variables_of_googles_in_the_shell_change_nothing(
    server: GeminiServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.setenv(name, "other")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v7")
    monkeypatch.setenv("GOOGLE_GENAI_HTTP_CLIENT", "httpx2")
    b"".join(speak(provider))
    path, headers, _ = server.requests[0]
    assert path.startswith("/v1beta/") and headers["x-goog-api-key"] == KEY


def exceptions_of_the_sdk() -> list[type[Exception]]:
    """Every exception class that a module of the SDK's synchronous half or its HTTP client defines."""
    names = ["_api_client", "_common", "errors", "models", "client", "types", "_transformers", "_extra_utils", "chats"]
    modules = [httpx2, *(importlib.import_module(f"google.genai.{name}") for name in names)]
    found = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, Warning)
    }
    return sorted(found, key=lambda kind: kind.__qualname__)


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, errors.APIError):
        return kind(400, {})
    if issubclass(kind, ValidationError):
        return kind.from_exception_data("an answer", [])
    return kind.__new__(kind)


def test_the_list_of_modules_covers_the_sdk() -> None:
    listed = {kind for kind in exceptions_of_the_sdk() if kind.__module__.startswith("google.genai")}
    assert {errors.APIError, errors.ClientError, errors.ServerError, errors.UnknownApiResponseError} <= listed
    assert "models" in {module.name for module in pkgutil.iter_modules(genai.__path__)}


@pytest.mark.parametrize("kind", exceptions_of_the_sdk(), ids=lambda kind: kind.__qualname__)
def test_no_exception_of_the_sdk_leaves(
    kind: type[Exception], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = made(kind)
    assert isinstance(translated(error, "p"), ProviderError)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("google.genai.models.Models.generate_content_stream", fail)
    monkeypatch.setattr(provider.speaker._tries, "_retry_s", 0)
    with pytest.raises(ProviderError):
        next(speak(provider))


@pytest.mark.processes
def test_the_sdk_is_loaded_by_the_first_call_only() -> None:
    code = (
        "import sys, api.main, workers.main, cli.main\n"
        "from pipeline import providers\n"
        "opened = providers.load('gemini', {'api_key': 'x'})\n"
        "assert not [name for name in sys.modules if name.startswith('google.genai')]\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_its_route_counts_only_with_a_key() -> None:
    with_key = load_catalog(None, embedded_engines="off", stock={"gemini": {"api_key": KEY}})
    assert [route.provider for route in with_key.routes(MODEL, "speech")] == ["gemini"]
    assert not load_catalog(None, embedded_engines="off").available(MODEL)
