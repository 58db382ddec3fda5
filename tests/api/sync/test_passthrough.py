"""The whole way of a file through the API to an upstream that takes it as it is, and 200 clients that dawdle."""

import contextlib
import json
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.oracle.speech import generate
from tests.api.serving import Running, running
from tests.support.accounts import rich
from tests.support.sound_files import encoded
from tests.support.tcp_server import Reply, Scripted, http, scripted

pytestmark = pytest.mark.processes

CATALOG = """
[providers.upstream]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream"
tries = 1

[models.relayed]
tasks = ["transcription", "translation"]
routes = [{{ provider = "upstream", model = "whisper-up" }}]
prices = {{ audio_minute = "0.006" }}
"""
HEAR = "/v1/audio/transcriptions"
SECONDS = 5.0
VERBOSE: dict[str, Any] = {
    "text": "Hello there.",
    "language": "english",
    "duration": SECONDS,
    "segments": [{"text": " Hello there.", "start": 0.4, "end": 4.6}],
    "words": [{"word": "Hello", "start": 0.4, "end": 2.0}, {"word": "there", "start": 2.2, "end": 4.6}],
}
TELLS = http(body=json.dumps(VERBOSE).encode())
BOUNDARY = "bb"
DAWDLERS = 200


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same speech as people send it."""
    folder = tmp_path_factory.mktemp("sounds")
    pcm = b"".join(block for block, _ in generate(seconds=SECONDS, style="natural", seed=2))
    opus = ("-c:a", "libopus", "-b:a", "32k")
    return {
        "audio/mpeg": encoded(pcm, folder / "a.mp3", ("-b:a", "64k")),
        "audio/wav": encoded(pcm, folder / "a.wav"),
        "audio/flac": encoded(pcm, folder / "a.flac"),
        "audio/ogg": encoded(pcm, folder / "a.ogg", opus),
        "audio/webm": encoded(pcm, folder / "a.webm", opus),
    }


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting any process is an error."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@contextlib.contextmanager
def relaying(folder: Path, *replies: Reply) -> Iterator[tuple[Running, Scripted, dict[str, str], Services]]:
    with scripted(*replies) as upstream:
        catalog = folder / "catalog.toml"
        catalog.write_text(CATALOG.format(url=upstream.url))
        with build(Settings(home=folder, catalog=catalog, read_timeout_seconds=60), engine_processes=1) as services:
            key, _ = services.accounts.create_key(rich(services.database, "mine"))
            with running(create_app(services)) as served:
                yield served, upstream, {"Authorization": f"Bearer {key}"}, services


def hear(served: Running, auth: dict[str, str], sound: bytes, path: str = HEAR, **fields: str) -> httpx2.Response:
    """The file is named as badly as can be."""
    files = {"file": ("../x.exe", sound, "text/plain")}
    return httpx2.post(
        f"{served.url}{path}", data={"model": "relayed", **fields}, files=files, headers=auth, timeout=60
    )


@pytest.mark.usefixtures("no_decoder")
def test_every_container_arrives_byte_for_byte(tmp_path: Path, sounds: dict[str, bytes]) -> None:
    with relaying(tmp_path, TELLS) as (served, upstream, auth, _):
        for media_type, sound in sounds.items():
            answer = hear(served, auth, sound)
            assert answer.status_code == 200, answer.text
            assert answer.json()["text"] == "Hello there."
            assert abs(answer.json()["usage"]["seconds"] - SECONDS) <= 0.1
            body = upstream.requests[-1].body
            assert sound in body and media_type.encode() in body
            assert b"x.exe" not in body and b"text/plain" not in body
        assert len(upstream.requests) == len(sounds)


def test_what_only_waits_takes_no_thread(tmp_path: Path, sounds: dict[str, bytes]) -> None:
    def threads() -> int:
        return sum(thread.name.startswith("work-") for thread in threading.enumerate())

    with relaying(tmp_path, TELLS) as (served, _, auth, services):
        before = threads()
        for _ in range(3):
            assert hear(served, auth, sounds["audio/mpeg"]).status_code == 200
        assert threads() <= before + 1  # that opened the connection
        with ThreadPoolExecutor(8) as callers:
            long = callers.submit(hear, served, auth, bytes(44) + sounds["audio/wav"])  # has to be looked into
            answers = list(callers.map(lambda _: hear(served, auth, sounds["audio/ogg"]), range(24)))
        assert [answer.status_code for answer in answers] == [200] * 24
        assert long.result().status_code == 400
        assert services.ledger.check() == []


@pytest.mark.usefixtures("no_decoder")
def test_every_format_is_written_by_us(tmp_path: Path, sounds: dict[str, bytes]) -> None:
    sound = sounds["audio/mpeg"]
    with relaying(tmp_path, TELLS) as (served, _, auth, _services):
        verbose = hear(served, auth, sound, response_format="verbose_json", timestamp_granularities="word").json()
        assert abs(verbose["duration"] - SECONDS) <= 0.1
        assert [word["word"] for word in verbose["words"]] == ["Hello", "there"]
        assert hear(served, auth, sound, response_format="text").text == "Hello there.\n"
        assert "00:00:00,400 --> 00:00:04,600" in hear(served, auth, sound, response_format="srt").text
        assert hear(served, auth, sound, response_format="vtt").text.startswith("WEBVTT")
        events = hear(served, auth, sound, stream="true").text
        assert '"delta": "Hello there."' in events and "transcript.text.done" in events
        translated = hear(served, auth, sound, "/v1/audio/translations", response_format="verbose_json").json()
        assert translated["task"] == "translate"


def test_headers_and_money_of_a_relayed_file(tmp_path: Path, sounds: dict[str, bytes]) -> None:
    with relaying(tmp_path, TELLS, http(503)) as (served, _, auth, services):
        answer = hear(served, auth, sounds["audio/mpeg"])
        assert answer.headers["x-perf-model-used"] == "whisper-up"
        assert answer.headers["x-perf-request-id"] == answer.headers["x-request-id"]
        cost = float(answer.headers["x-perf-cost-usd"])
        assert cost == answer.json()["perf"]["cost_usd"]
        assert abs(cost - SECONDS / 60 * 0.006) < 0.00002
        failed = hear(served, auth, sounds["audio/mpeg"])
        assert (failed.status_code, failed.headers["x-perf-cost-usd"]) == (503, "0")
        assert services.ledger.check() == []


def test_a_refused_file_is_decoded(tmp_path: Path, sounds: dict[str, bytes]) -> None:
    refuses = http(400, body=b'{"error": {"message": "Invalid file format.", "param": "file"}}')
    with relaying(tmp_path, refuses, TELLS) as (served, upstream, auth, _):
        assert hear(served, auth, sounds["audio/webm"]).json()["text"] == "Hello there."
        first, second = upstream.requests
        assert sounds["audio/webm"] in first.body
        assert sounds["audio/webm"] not in second.body


def test_a_forged_length_is_not_what_is_paid(tmp_path: Path, sounds: dict[str, bytes]) -> None:
    forged = bytearray(sounds["audio/ogg"])
    struct.pack_into("<Q", forged, forged.rindex(b"OggS") + 6, 365 * 86_400 * 48_000)
    with relaying(tmp_path, TELLS) as (served, _, auth, _services):
        answer = hear(served, auth, bytes(forged))
        assert answer.status_code == 200, answer.text
        assert answer.json()["perf"]["audio_duration_seconds"] <= SECONDS + 0.1


def test_two_hundred_slow_uploads_do_not_stop_a_fast_one(tmp_path: Path, sounds: dict[str, bytes]) -> None:
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nrelayed\r\n'
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    with relaying(tmp_path, TELLS) as (served, upstream, auth, _), contextlib.ExitStack() as stack:
        head = (
            f"POST {HEAR} HTTP/1.1\r\nHost: x\r\nAuthorization: {auth['Authorization']}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 1000000\r\n\r\n{field}{file}"
        )
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 20)) for _ in range(DAWDLERS)]
        for connection in slow:
            connection.sendall(head.encode())
        for _ in range(3):
            for connection in slow:
                connection.sendall(sounds["audio/mpeg"][:500])
            answer = hear(served, auth, sounds["audio/mpeg"])
            assert answer.status_code == 200, answer.text
        assert len(upstream.requests) == 3
        for connection in slow:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):  # still being listened to, and not answered
                connection.recv(1)
