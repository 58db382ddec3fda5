"""POST /v1/audio/estimates: what a job would be, without making one and without a trace."""

import contextlib
import http.server
import io
import itertools
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.main import create_app
from pipeline.audio.findings import Findings
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.time_range import Part
from pipeline.engines.pace import Paces
from pipeline.transcript import SAMPLE_RATE
from tests.api.conftest import House, recording
from tests.api.serving import running
from tests.pipeline.audio.sounds import ffmpeg
from tests.support.waiting import pause, wait_until

URL = "/v1/audio/estimates"


def estimate(house: House, *, file: bytes | None = None, **fields: Any) -> Any:
    if file is None:
        return house.post(URL, json=fields)
    return house.post(URL, data=fields, files={"file": ("talk.wav", file)})


def left_behind(house: House) -> list[str]:
    """Files of the data folder, besides those of the database; and what descriptors still hold."""
    home = house.services.settings.home
    named = [path.name for path in home.iterdir() if path.is_file() and "stenopool.db" not in path.name]
    held = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists the folder is gone by now
            held.append(str(descriptor.readlink()))
    return [name for name in named if name != "catalog.toml"] + [
        name for name in held if "(deleted)" in name and str(home) in name
    ]


def test_the_documented_prices(house: House) -> None:
    for fields, cost in (
        ({"model": "whisper-1", "duration_seconds": 12.5}, 0.00125),
        ({"model": "whisper-1", "duration_seconds": 2.5}, 0.00025),
        ({"model": "whisper-large-v3", "duration_seconds": 3600}, 0.111),
        ({"model": "tts-1", "text": "x" * 1000}, 0.015),
        ({"model": "tts-1-hd", "input": "x" * 1000, "response_format": "mp3"}, 0.03),
        ({"model": "oracle", "duration_seconds": 60}, 0),
    ):
        answer = estimate(house, **fields)
        assert answer.status_code == 200, answer.text
        assert answer.json()["cost"] == {"currency": "usd", "estimated": cost}


def test_a_stated_length(house: House) -> None:
    told = estimate(house, model="whisper-1", duration_seconds=100, task="translation").json()
    assert told | {"balance": None} == {
        "object": "audio.estimate", "task": "translation", "model": "whisper-1", "duration_seconds": 100,
        "characters": None, "chunks": 3, "measured": False, "counted": "measured", "work": told["work"],
        "prices": {"audio_minute": "0.006"}, "audio_ratio": "1", "cost": {"currency": "usd", "estimated": 0.01},
        "balance": None,
    }  # fmt: skip


def test_a_text(house: House) -> None:
    told = estimate(house, model="gpt-4o-mini-tts", text="One sentence of some words. " * 150).json()
    assert (told["task"], told["characters"], told["chunks"], told["counted"]) == ("speech", 4200, 3, "estimated")
    assert told["duration_seconds"] > 100
    assert told["cost"]["estimated"] > 0


def test_whether_the_balance_covers_it(house: House) -> None:
    house.services.ledger.adjust(house.account_id, 1000 - house.services.ledger.balance(house.account_id) or 1)
    for seconds, enough in ((10, True), (10.01, False)):
        told = estimate(house, model="whisper-1", duration_seconds=seconds).json()["balance"]
        assert told == {"currency": "usd", "available": 0.001, "sufficient": enough}


@pytest.mark.processes
def test_a_file_is_measured_as_a_job_would_and_nothing_is_kept(house: House) -> None:
    sound, _ = recording(70)
    entries = house.services.statements.entries(house.account_id)
    told = estimate(house, file=sound, model="oracle").json()
    assert (told["duration_seconds"], told["measured"]) == (70, True)
    job = house.submit(sound)
    house.work()
    done = house.get(f"/v1/audio/jobs/{job['id']}").json()
    assert told["chunks"] == done["progress"]["chunks"]["total"] > 1
    assert told["duration_seconds"] == done["progress"]["audio_seconds_total"]
    assert len(house.get("/v1/audio/jobs").json()["data"]) == 1
    assert house.services.statements.entries(house.account_id) == entries
    assert left_behind(house) == []


def stereo(seconds: float) -> bytes:
    """Two channels of speech."""
    mono, held = recording(seconds)[0][44:], io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"".join(mono[at : at + 2] * 2 for at in range(0, len(mono), 2)))
    return held.getvalue()


def used_minutes(house: House) -> float:
    told = house.get("/v1/usage").json()["limits"]["estimate_minutes_per_day"]
    return float(told["used"])


@pytest.mark.processes
def test_what_estimates_decode_is_counted_and_has_an_end_each_day(house: House) -> None:
    house.services.accounts.update(house.account_id, limits={"estimate_minutes_per_day": 4})
    long, short = recording(90)[0], recording(2)[0]
    assert estimate(house, file=long, model="oracle").status_code == 200 and used_minutes(house) == 1.5
    assert estimate(house, file=short, model="oracle").status_code == 200 and used_minutes(house) == 2.5
    refused = estimate(house, file=recording(61)[0], model="oracle")  # there is no room for its second minute
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (429, "limit_exceeded", "estimate_minutes_per_day")
    assert (error["used"], error["limit"]) == (3.5, 4) and int(refused.headers["Retry-After"]) > 0
    assert estimate(house, model="oracle", duration_seconds=3600).status_code == 200  # nothing is decoded for it
    assert used_minutes(house) == 3.5 and left_behind(house) == []


@pytest.mark.processes
def test_who_has_no_minute_left_is_refused_before_anything_is_sent_or_fetched(house: House) -> None:
    house.services.accounts.update(house.account_id, limits={"estimate_minutes_per_day": 1})
    assert estimate(house, file=recording(2)[0], model="oracle").status_code == 200
    with web(recording(3)[0]) as site:
        for asked in ({"file": b"This is no music." * 100}, {"url": f"{site}/other.wav"}):
            error = estimate(house, model="oracle", **asked).json()["error"]
            assert (error["code"], error["param"]) == ("limit_exceeded", "estimate_minutes_per_day")
    assert left_behind(house) == []


@pytest.mark.processes
def test_a_part_near_the_end_costs_what_is_near_it(house: House) -> None:
    house.services.accounts.update(house.account_id, limits={"estimate_minutes_per_day": 100})
    told = estimate(house, file=recording(150)[0], model="oracle", range="140-148").json()
    assert told["duration_seconds"] == 8 and used_minutes(house) == 1
    made = sound_made(recording(150)[0], 140, 148)
    assert 8 <= made <= 8 + 12  # seconds


def sound_made(data: bytes, start: float, end: float) -> float:
    sound = Sound(data, part=Part.of_seconds(start, end))
    sound.measure()
    return sound.made / SAMPLE_RATE


@pytest.mark.processes
def test_holes_cost_nothing_and_make_no_chunks(house: House, tmp_path: Path) -> None:
    """Packets of a fiftieth of a second, 59 seconds apart."""
    house.services.accounts.update(house.account_id, limits={"estimate_minutes_per_day": 100})
    path = tmp_path / "holes.mkv"
    sparse = "setts=ts=N*59*48000:duration=960"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=2:r=48000", "-c:a", "libopus", "-bsf:a", sparse, path)
    told = estimate(house, file=path.read_bytes(), model="oracle").json()
    assert 1.9 < told["duration_seconds"] < 3 and told["chunks"] == 1
    assert used_minutes(house) == 1
    between = estimate(house, file=path.read_bytes(), model="oracle", range="1790-1798").json()
    assert (between["duration_seconds"], between["chunks"]) == (0, 0) and used_minutes(house) < 3


@pytest.mark.processes
def test_a_file_that_stalls_the_decoder_counts_as_an_hour(house: House) -> None:
    house.services.accounts.update(house.account_id, limits={"estimate_minutes_per_day": 100})
    stall = b"#!AMR\n" + b"\x7c" * 400_000
    assert estimate(house, file=stall, model="oracle").json()["error"]["code"] == "audio_stalled"
    assert used_minutes(house) >= 60


@pytest.mark.processes
def test_a_part_and_separate_channels(house: House) -> None:
    """What would be heard: of a part only the part, of channels each."""
    sound = stereo(40)
    for fields, seconds in (
        ({}, 40),
        ({"range": "10-22.5"}, 12.5),
        ({"range": "30-"}, 10),
        ({"channels": "separate"}, 80),
    ):
        told = estimate(house, file=sound, model="whisper-1", **fields).json()
        assert (told["duration_seconds"], told["cost"]["estimated"]) == (seconds, seconds / 10_000), fields
    stated = estimate(house, model="whisper-1", duration_seconds=40, range="10-22.5").json()
    assert (stated["duration_seconds"], stated["cost"]["estimated"]) == (12.5, 0.00125)
    refused = estimate(house, model="whisper-1", duration_seconds=40, channels="separate").json()["error"]
    assert refused["param"] == "channels"
    assert estimate(house, file=sound, model="whisper-1", range="50-").json()["error"]["param"] == "range"


@pytest.mark.processes
def test_a_header_that_lies_is_not_believed(house: House) -> None:
    sound = bytearray(recording(2)[0])
    sound[40:44] = (0x7FFFFFF0).to_bytes(4, "little")  # the size of the sound, as its header says it
    told = estimate(house, file=bytes(sound), model="whisper-1").json()
    assert (told["duration_seconds"], told["cost"]["estimated"]) == (2, 0.0002)


@contextlib.contextmanager
def web(content: bytes) -> Iterator[str]:
    """A server on loopback with one file."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/talk.wav" else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.processes
def test_a_url_is_fetched_measured_and_forgotten(house: House) -> None:
    with web(recording(3)[0]) as site:
        told = estimate(house, model="oracle", url=f"{site}/talk.wav")
        assert (told.status_code, told.json()["duration_seconds"], told.json()["measured"]) == (200, 3, True)
        missing = estimate(house, model="oracle", url=f"{site}/other.wav")
        assert (missing.status_code, missing.json()["error"]["code"]) == (400, "download_failed")
    assert left_behind(house) == []


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "whisper-1"}, 400, "invalid_request", "file"),
        (
            {"model": "whisper-1", "duration_seconds": 1, "url": "http://x.example/a"},
            400,
            "invalid_request",
            "duration_seconds",
        ),
        ({"model": "whisper-1", "text": "x"}, 400, "unsupported_value", "model"),
        ({"model": "tts-1", "duration_seconds": 3}, 400, "unsupported_value", "model"),
        ({"model": "tts-1", "duration_seconds": 3, "task": "speech"}, 400, "invalid_request", "duration_seconds"),
        ({"model": "nothing", "duration_seconds": 3}, 404, "model_not_found", "model"),
        ({"model": "whisper-1", "duration_seconds": 0}, 400, "invalid_request", "duration_seconds"),
        ({"model": "whisper-1", "duration_seconds": "long"}, 400, "invalid_request", "duration_seconds"),
        ({"model": "whisper-1", "duration_seconds": 100_000}, 400, "media_too_long", "duration_seconds"),
        ({"model": "whisper-1", "url": "http://10.1.1.1/a.wav"}, 400, "outbound_refused", "url"),
        ({"duration_seconds": 3}, 400, "invalid_request", "model"),
    ],
)
def test_what_is_refused(house: House, fields: dict[str, Any], status: int, code: str, param: str) -> None:
    answer = estimate(house, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["message"]


@pytest.mark.parametrize(
    ("file", "fields", "code"),
    [
        (b"", {"model": "oracle"}, "empty_media"),
        (b"This is no music." * 100, {"model": "oracle"}, "unsupported_media"),
        (b"RIFF", {"model": "oracle", "duration_seconds": "3"}, "invalid_request"),
        (b"RIFF", {"model": "nothing"}, "model_not_found"),
    ],
)
def test_files_that_are_refused_leave_nothing(house: House, file: bytes, fields: dict[str, Any], code: str) -> None:
    assert estimate(house, file=file, **fields).json()["error"]["code"] == code
    assert left_behind(house) == []


def test_a_client_that_leaves_stops_the_work(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording never ends; only the client's leaving ends the work."""
    begun, ended = threading.Event(), threading.Event()

    class Endless:
        facts, most_channels, findings = None, 1, Findings()

        def __init__(self, _path: Path, **_: object) -> None:
            pass

        def __enter__(self) -> "Endless":
            return self

        def __exit__(self, *_: object) -> None:
            ended.set()

        def pieces(self) -> Iterator[tuple[int, bytes]]:
            begun.set()
            for at in itertools.count():
                pause(0.01)
                yield 160 * at, bytes(320)

    monkeypatch.setattr("pipeline.cut.channel_chunks.decode", Endless)
    with running(create_app(house.services)) as server, server.connection() as connection:
        body = (
            b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\noracle\r\n"
            b'--b\r\nContent-Disposition: form-data; name=file; filename="a.wav"\r\n\r\n'
            + recording(2)[0]
            + b"\r\n--b--\r\n"
        )
        head = (
            f"POST {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        assert begun.wait(60)
        connection.close()
        assert ended.wait(60)
    wait_until(lambda: not left_behind(house))


@pytest.fixture
def nobody_works(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers of other tests have told how fast they are, and other tests have worked in this process."""
    house.services.workers.forget(-60)
    monkeypatch.setattr(house.services.registry, "paces", Paces())
    yield
    house.services.workers.forget(-60)


@pytest.mark.usefixtures("nobody_works")
def test_the_seconds_of_work_are_those_of_the_engine_or_what_is_usual(house: House) -> None:
    def work(**fields: Any) -> Any:
        return estimate(house, **fields).json()["work"]

    assert work(model="oracle", duration_seconds=600) is None, "nobody knows"
    assert work(model="pocketsphinx-en-us", duration_seconds=100) == {
        "model": "pocketsphinx-en-us", "seconds": 30, "measured": False,
    }  # fmt: skip
    assert work(model="espeak-ng", text="One sentence. " * 100)["seconds"] > 0
    house.services.workers.beat("cpu@here:1", "cpu", "here", 1, {"paces": {"oracle": 0.25}})
    house.services.workers.beat("cpu@here:2", "cpu", "here", 2, {"paces": {"oracle": 0.75}})
    house.services.workers.beat("cpu@here:3", "cpu", "here", 3, None)
    assert work(model="oracle", duration_seconds=600) == {"model": "oracle", "seconds": 300, "measured": True}


@pytest.mark.processes
@pytest.mark.usefixtures("nobody_works")
def test_workers_tell_how_fast_they_have_been(house: House) -> None:
    house.submit()
    house.work()
    house.bench().beat()
    assert 0 < house.services.workers.paces(60)["oracle"] < 100
