"""Requests as OpenAI's own command `openai`, which is written in Go, puts them on the wire.

It streams a form without a length; its fields come in the order of their names, so that the file stands among them; a list is
`name[]`, an object `name[key]`, null an empty field; options that nobody gave may come with their defaults. The boundary is sixty
hexadecimal digits, and a quote in a file's name has a backslash before it.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import House, recording

BOUNDARY = "5b1c9388c23bad23038f0561c5a3f9b2e701efc423c93c2518e70073c329"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
DEFAULTS = {"response_format": "json", "stream": False, "temperature": 0, "timestamp_granularities": ["segment"]}
BLOCK = 32 * 1024
pytestmark = pytest.mark.processes


def pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield from pairs(f"{name}[{key}]", value[key])
    elif isinstance(value, list):
        for one in value:
            yield from pairs(f"{name}[]", one)
    else:
        yield name, "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def part(name: str, content: bytes, more: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


def form(fields: dict[str, Any], file: bytes, filename: str) -> Iterator[bytes]:
    """The whole body, in blocks."""
    told = f'; filename="{filename}"\r\nContent-Type: application/octet-stream'
    parts = []
    for name in sorted([*fields, "file"]):
        if name == "file":
            parts.append(part("file", file, told))
        else:
            parts += [part(key, value.encode()) for key, value in pairs(name, fields[name])]
    whole = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return (whole[at : at + BLOCK] for at in range(0, len(whole), BLOCK))


def send(house: House, path: str, fields: dict[str, Any], file: bytes, filename: str = "talk.wav") -> Any:
    headers = house.auth() | {"Content-Type": KIND, "User-Agent": "OpenAI/CLI 1.0.0"}
    return house.client.post(path, content=form(fields, file, filename), headers=headers)


@pytest.mark.parametrize(
    "more",
    [
        {},
        DEFAULTS,
        {"chunking_strategy": {"type": "server_vad", "threshold": 0.4}, "include": ["logprobs"]},
        {"language": "en", "keywords": ["Stenopool", "Celery"], "prompt": "A talk."},
        {"language": None, "prompt": None, "stream": None},
    ],
)
def test_transcriptions_create(house: House, more: dict[str, Any]) -> None:
    sound, said = recording()
    answer = send(house, "/v1/audio/transcriptions", {"model": "oracle", **more}, sound, 'a \\"talk\\".wav')
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"].split() == said


def test_its_streams_and_its_captions(house: House) -> None:
    sound, said = recording()
    events = send(house, "/v1/audio/transcriptions", {"model": "oracle", "stream": True}, sound).text
    assert events.count("data: ") > 1 and json.loads(events.strip().rpartition("data: ")[2])["text"].split() == said
    for shape in ("text", "srt", "vtt"):
        answer = send(house, "/v1/audio/transcriptions", {"model": "oracle", "response_format": shape}, sound)
        assert answer.headers["content-type"].startswith("text/plain"), "by which it knows that this is no JSON"


def test_translations_and_speech_create(house: House) -> None:
    sound, said = recording()
    answer = send(house, "/v1/audio/translations", {"model": "oracle", "temperature": 0}, sound)
    assert answer.json()["text"].split() == said
    asked = {
        "input": "hello there",
        "model": "oracle",
        "response_format": "mp3",
        "speed": 1,
        "stream_format": "audio",
        "voice": "alloy",
    }
    spoken = house.post("/v1/audio/speech", json=asked)
    assert (spoken.status_code, spoken.headers["content-type"]) == (200, "audio/mpeg")


def test_a_batch_from_its_file_to_its_cancelling(house: House) -> None:
    line = {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/audio/speech",
        "body": {"model": "oracle", "input": "hello", "voice": "alloy"},
    }
    kept = {"expires_after": {"anchor": "created_at", "seconds": 3600}, "purpose": "batch"}
    file = send(house, "/v1/files", kept, json.dumps(line).encode(), "lines.jsonl").json()
    assert (file["purpose"], file["filename"], file["expires_at"] - file["created_at"]) == (
        "batch",
        "lines.jsonl",
        3600,
    )
    made = {
        "completion_window": "24h",
        "endpoint": "/v1/audio/speech",
        "input_file_id": file["id"],
        "metadata": {"from": "the shell"},
    }
    batch = house.post("/v1/batches", json=made).json()
    assert (batch["object"], batch["status"]) == ("batch", "validating")
    assert set(batch["request_counts"]) == {"total", "completed", "failed"}
    assert house.get(f"/v1/batches/{batch['id']}").json()["id"] == batch["id"]
    headers = {**house.auth(), "Content-Type": "application/json", "Content-Length": "0"}
    assert house.client.post(f"/v1/batches/{batch['id']}/cancel", headers=headers).status_code == 200
