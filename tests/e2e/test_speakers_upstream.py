"""Who speaks, through an upstream that tells it, for one chunk and for a recording that had to be cut, and through one that gives
nothing but text, which is asked the same as where nobody wants to know."""

import base64
import io
import json
import re
import socket
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import build
from pipeline.oracle.ear import listen
from pipeline.oracle.speech import say
from pipeline.oracle.words import VOCABULARY
from pipeline.transcript import Word, samples_to_ms
from tests.api.conftest import recording
from tests.api.serving import Running, running
from tests.e2e.test_cascade import key_of
from tests.support import tiny_voices
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


PLAIN = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream"
text_only = ["*"]
{more}

[models.plain]
tasks = ["transcription"]
routes = [{{ provider = "up", model = "gpt-4o-transcribe" }}]
prices = {{ audio_minute = "0.006" }}
"""
PITCHES = (110.0, 190.0)  # Hz
SAID = [(list(VOCABULARY[13 * turn : 13 * (turn + 1)]), turn % 2) for turn in range(6)]
TEXT = " ".join(word for words, _ in SAID for word in words)


def talk() -> bytes:
    """A WAV of 36 s: longer than what is timed at once."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"".join(say(words, hum_hz=PITCHES[who], edge_s=0.6) for words, who in SAID))
    return memory.getvalue()


def ear(pcm: bytes, text: str, language: str | None) -> Sequence[Word]:
    """Lays a text over up to 30 s of the oracle's speech; words that are not said there come at its end."""
    del language
    length = samples_to_ms(len(pcm) // 2)
    assert length <= 30_000
    said = iter([Word(one.text, samples_to_ms(one.start), samples_to_ms(one.end)) for one in listen(pcm)])
    return [next(said, Word(word, length, length)) for word in text.split()]


@pytest.mark.parametrize("more", ["", 'containers = ["flac"]'], ids=["as it is", "decoded"])
def test_a_model_of_text_alone_is_asked_the_same_and_its_words_are_told_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    folder = tiny_voices.build(tmp_path / "models" / tiny_voices.NAME)
    described = {tiny_voices.NAME: tiny_voices.weights(folder)}
    monkeypatch.setattr("infra.settings.shipped_weights", described.copy)
    monkeypatch.setattr("pipeline.provider_registry.ProviderRegistry.aligner", lambda _: ear)
    catalog = tmp_path / "catalog.toml"
    with scripted(http(200, "", json.dumps({"text": TEXT}).encode())) as server:
        catalog.write_text(PLAIN.format(url=server.url, more=more))
        settings = Settings(home=tmp_path, catalog=catalog, models=tmp_path / "models")
        with build(settings, engine_processes=1) as services, running(create_app(services)) as place:
            key = key_of(services)

            def ask(**fields: str) -> httpx2.Response:
                return httpx2.post(
                    f"{place.url}/v1/audio/transcriptions",
                    headers={"Authorization": f"Bearer {key}"},
                    data={"model": "plain", **fields},
                    files={"file": ("talk.wav", talk())},
                    timeout=60,
                ).raise_for_status()

            plain, told = ask(response_format="json"), ask(response_format="json", speakers="auto")
            lines = ask(response_format="text", speakers="auto")
    assert len(server.requests) == 3 and len({as_sent(one.body) for one in server.requests}) == 1
    assert plain.json()["text"] == told.json()["text"] == TEXT
    costs = {one.headers["x-perf-cost-usd"] for one in (plain, told, lines)}
    assert len(costs) == 1
    assert lines.text.splitlines() == [f"{'AB'[who]}: {' '.join(words)}" for words, who in SAID]


def as_sent(body: bytes) -> bytes:
    """Without the boundary, which is another one each time."""
    (boundary,) = re.findall(rb"\A--([^\r]+)\r\n", body)
    return body.replace(boundary, b"")
