"""Gemini's voice and Whisper on this machine behind the API, asked by OpenAI's own SDK."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import build
from tests.api.serving import running
from tests.support import tiny_whisper
from tests.support.gemini_server import KEY, GeminiServer, gemini, tones
from tests.support.recordings import short

MODEL = "gemini-3.1-flash-tts-preview"
SENTENCE = "".join(tiny_whisper.HEARD).strip()


@pytest.fixture(scope="module")
def google() -> Iterator[GeminiServer]:
    with gemini() as server:
        yield server


@pytest.fixture(scope="module")
def client(google: GeminiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    home: Path = tmp_path_factory.mktemp("home")
    (home / "catalog.toml").write_text(f'[providers.gemini]\nbase_url = "{google.url}"\n')
    settings = Settings(
        home=home,
        catalog=home / "catalog.toml",
        embedded_engines="off",
        gemini_api_key=KEY,
        faster_whisper_model=str(tiny_whisper.build(home / "tiny-whisper")),
    )
    with build(settings, engine_processes=1) as services:
        account = services.accounts.create_account("somebody", "enterprise").id
        services.ledger.top_up(account, 10_000_000, note="test", subject="test")
        secret, _ = services.accounts.create_key(account)
        with (
            running(create_app(services)) as place,
            openai.OpenAI(base_url=f"{place.url}/v1", api_key=secret) as client,
        ):
            yield client


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_geminis_sound_in_every_format(client: openai.OpenAI, form: str) -> None:
    said = client.audio.speech.with_raw_response.create(
        model=MODEL,
        input="Hello.",
        voice="nova",
        response_format=form,
    )
    assert said.headers["x-perf-model-used"] == MODEL
    assert len(said.content) > 500
    if form == "pcm":
        assert said.content == tones("Hello.", "Laomedeia")


def test_the_first_bytes_leave_while_gemini_still_speaks(client: openai.OpenAI, google: GeminiServer) -> None:
    google.may_go_on.clear()
    with client.audio.speech.with_streaming_response.create(
        model=MODEL, input="Hello. And bye.", voice="nova", response_format="pcm"
    ) as said:
        blocks = said.iter_bytes()
        first = next(blocks)
        google.may_go_on.set()
        assert first + b"".join(blocks) == tones("Hello.", "Laomedeia") + tones(" And bye.", "Laomedeia")


def test_what_gemini_counted_is_what_is_paid(client: openai.OpenAI) -> None:
    said = client.audio.speech.with_raw_response.create(
        model=MODEL, input="Hello.", voice="nova", response_format="pcm", stream_format="sse"
    )
    done = json.loads(said.content.decode().strip().rpartition("data: ")[2])
    counted = len(tones("Hello.", "x")) // 1920
    assert done["usage"] == {"input_tokens": 12, "output_tokens": counted, "total_tokens": 12 + counted}
    assert done["perf"]["cost_usd"] == pytest.approx(12 * 1e-6 + counted * 20e-6)


def test_an_unknown_voice_is_refused_before_anything_is_asked(client: openai.OpenAI, google: GeminiServer) -> None:
    before = len(google.requests)
    with pytest.raises(openai.BadRequestError, match="Zubenelgenubi"):
        client.audio.speech.create(model=MODEL, input="Hello.", voice="nobody")
    assert len(google.requests) == before


def test_whisper_on_this_machine_serves_whisper_1(client: openai.OpenAI) -> None:
    file = ("a.wav", io.BytesIO(short(7).wav))
    heard = client.audio.transcriptions.create(
        model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert heard.text == SENTENCE and heard.language == "german"
    assert [word.word for word in heard.words or ()] == SENTENCE.split()
    assert heard.model_extra and heard.model_extra["perf"]["model_used"] == "tiny-whisper"
