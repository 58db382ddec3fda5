"""Bad recordings over HTTP: each has its own clear error, at once or as its job's, and nothing is left behind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.audio.ffmpeg import decoder_progress
from tests.api.conftest import JOBS, House
from tests.pipeline.audio.sounds import ffmpeg, wav

PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nhttp://127.0.0.1:1/secret.ts\n#EXT-X-ENDLIST\n"
Maker = Callable[[Path], bytes]


def truncated_m4a(folder: Path) -> bytes:
    """Its index is at the end, and gone."""
    ffmpeg("-f", "lavfi", "-i", "sine=duration=20", "-c:a", "aac", folder / "a.m4a")
    content = (folder / "a.m4a").read_bytes()
    return content[: len(content) // 2]


def silent_film(folder: Path) -> bytes:
    ffmpeg("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=5", "-c:v", "mpeg4", folder / "a.mp4")
    return (folder / "a.mp4").read_bytes()


@dataclass(frozen=True)
class Case:
    """A recording that is none, and the code of its error."""

    name: str
    filename: str
    make: Maker
    code: str


BAD = [
    Case("empty", "a.wav", lambda _: b"", "empty_media"),
    Case("text", "a.mp3", lambda _: b"Dear diary, " * 500, "unsupported_media"),
    Case("playlist", "a.mp3", lambda _: PLAYLIST * 20, "unsupported_media"),
    Case("truncated m4a", "a.m4a", truncated_m4a, "damaged_media"),
    Case("1 Hz, six days in a megabyte", "a.wav", lambda _: wav(bytes(1_000_000), sample_rate=1), "unsupported_media"),
    Case("film without sound", "a.mp4", silent_film, "no_audio_track"),
    Case("html", "a.mp3", lambda _: b"<!doctype html><html><body>no</body></html>" * 50, "unsupported_media"),
    Case("zip", "a.ogg", lambda _: b"PK\x03\x04" + bytes(2000), "unsupported_media"),
    Case("a wav with nothing in it", "a.wav", lambda _: wav(b""), "empty_media"),
]


FOREIGN = ("text", "playlist", "html", "zip")  # known by their first bytes


@pytest.mark.processes
@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_at_once(house: House, tmp_path: Path, case: Case) -> None:
    files = {"file": (case.filename, case.make(tmp_path))}
    answer = house.post("/v1/audio/transcriptions", data={"model": "oracle"}, files=files)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["param"]) == (case.code, "invalid_request", "file"), error
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize("case", [case for case in BAD if case.name in FOREIGN], ids=lambda case: case.name)
def test_what_is_foreign_makes_no_job(house: House, tmp_path: Path, case: Case) -> None:
    answer = house.post(JOBS, data={"model": "oracle"}, files={"file": (case.filename, case.make(tmp_path))})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, case.code, "file")
    assert house.files() == []
    assert house.get(JOBS).json()["data"] == []


@pytest.mark.processes
@pytest.mark.parametrize("case", [case for case in BAD[1:] if case.name not in FOREIGN], ids=lambda case: case.name)
def test_as_a_job(house: House, tmp_path: Path, case: Case) -> None:
    answer = house.post(JOBS, data={"model": "oracle"}, files={"file": (case.filename, case.make(tmp_path))})
    assert answer.status_code == 202
    job = answer.json()["id"]
    house.work()
    body = house.get(f"{JOBS}/{job}").json()
    assert body["status"] == "failed"
    assert (body["error"]["code"], body["error"]["stage"], body["error"]["retryable"]) == (
        case.code,
        "preparing",
        False,
    )
    transcript = house.get(f"{JOBS}/{job}/transcript")
    assert (transcript.status_code, transcript.json()["error"]["current_status"]) == (409, "failed")
    assert house.delete(f"{JOBS}/{job}").status_code == 200
    assert house.files() == []


@pytest.mark.processes
def test_a_decoder_that_brings_out_nothing_is_the_files_fault_told_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_progress, "MOST_LINES", 2000)
    frames = b"#!AMR\n" + b"\x7c" * 20_000
    at_once = house.post("/v1/audio/transcriptions", data={"model": "oracle"}, files={"file": ("a.amr", frames)})
    error = at_once.json()["error"]
    assert (at_once.status_code, error["code"], error["param"]) == (400, "audio_stalled", "file")
    job = house.submit(frames)["id"]
    house.work()
    body = house.get(f"{JOBS}/{job}").json()
    assert (body["status"], body["attempt"]) == ("failed", 1)
    assert (body["error"]["code"], body["error"]["retryable"]) == ("audio_stalled", False)


def test_an_empty_file_makes_no_job(house: House) -> None:
    answer = house.post(JOBS, data={"model": "oracle"}, files={"file": ("a.wav", b"")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "empty_media")
    assert house.files() == []
    assert house.get(JOBS).json()["data"] == []


def test_20000_parts_make_no_job(house: House) -> None:
    part = b'--bb\r\nContent-Disposition: form-data; name="p"\r\n\r\nx\r\n'
    headers = house.auth() | {"Content-Type": "multipart/form-data; boundary=bb"}
    answer = house.post(JOBS, content=part * 20_000 + b"--bb--\r\n", headers=headers)
    assert answer.status_code == 400
    assert "1000 parts" in answer.json()["error"]["message"]
    assert house.files() == []


HALF = r'{"model": "oracle", "voice": "alloy", "input": "seven \ud83d river", "text": "seven \ud83d", "task": "speech"}'


@pytest.mark.parametrize("path", ["/v1/audio/speech", JOBS, "/v1/audio/estimates"])
def test_half_a_character_is_a_mistake_of_the_caller(house: House, path: str) -> None:
    sent = house.client.post(path, content=HALF, headers={**house.auth(), "Content-Type": "application/json"})
    assert sent.status_code == 400, sent.text
    assert "half a character" in sent.json()["error"]["message"]


@pytest.mark.processes
def test_a_whole_pair_is_a_character(house: House) -> None:
    content = HALF.replace(r"\ud83d ", r"\ud83d\ude00 ").replace(r'"seven \ud83d"', '"seven"')
    sent = house.client.post(
        "/v1/audio/speech", content=content, headers={**house.auth(), "Content-Type": "application/json"}
    )
    assert sent.status_code == 200, sent.text
