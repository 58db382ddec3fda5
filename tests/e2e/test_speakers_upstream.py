"""Who speaks, through an upstream that tells it: for one chunk, and for a recording that had to be cut."""

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import build
from tests.api.conftest import recording
from tests.api.serving import Running, running
from tests.e2e.test_cascade import key_of
from tests.support.tcp_server import Scripted, http, scripted, silence

ANSWER = {
    "task": "transcribe",
    "duration": 9.0,
    "text": "A: hello\nAnn: there",
    "segments": [
        {"type": "transcript.text.segment", "id": "seg_0", "start": 0.5, "end": 2.0, "text": "hello", "speaker": "A"},
        {"type": "transcript.text.segment", "id": "seg_1", "start": 2.2, "end": 4.0, "text": "there", "speaker": "Ann"},
    ],
    "usage": {
        "type": "tokens",
        "input_tokens": 10,
        "input_token_details": {"text_tokens": 1, "audio_tokens": 9},
        "output_tokens": 5,
        "total_tokens": 15,
    },
}
MODEL = "gpt-4o-transcribe-diarize"


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    def answer(connection: socket.socket) -> None:
        http(200, "Connection: close\r\n", json.dumps(ANSWER).encode())(connection)

    with scripted(silence) as server:
        server.replies = [answer]
        yield server


def hear(place: Running, key: str, seconds: float) -> dict[str, Any]:
    voice = base64.b64encode(recording(3.0, seed=5)[0]).decode()
    known = {"known_speaker_names[]": "Ann", "known_speaker_references[]": f"data:audio/wav;base64,{voice}"}
    answer = httpx2.post(
        f"{place.url}/v1/audio/transcriptions",
        headers={"Authorization": f"Bearer {key}"},
        data={"model": MODEL, "response_format": "diarized_json", **known},
        files={"file": ("talk.wav", recording(seconds)[0])},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_names_are_kept_and_letters_say_which_part_they_belong_to(tmp_path: Path, upstream: Scripted) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text("[providers.openai]\ndiarize_max_s = 31\n")
    settings = Settings(
        home=tmp_path, catalog=catalog, openai_api_key="sk-upstream", openai_base_url=f"{upstream.url}/v1"
    )
    with build(settings, engine_processes=1) as services, running(create_app(services)) as place:
        key = key_of(services)
        alone = hear(place, key, 8.0)
        assert [(segment["text"], segment["speaker"]) for segment in alone["segments"]] == [
            ("hello", "A"),
            ("there", "Ann"),
        ]
        (request,) = upstream.requests
        assert b"diarized_json" in request.body and b'name="known_speaker_names[]"\r\n\r\nAnn' in request.body
        assert b"known_speaker_references[]" in request.body and b"chunking_strategy" not in request.body
        several = hear(place, key, 40.0)
        assert [segment["speaker"] for segment in several["segments"]] == ["1:A", "Ann", "2:A", "Ann"]
        starts = [segment["start"] for segment in several["segments"]]
        assert starts == sorted(starts) and starts[2] > 15
