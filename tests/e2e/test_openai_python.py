"""The official OpenAI client for Python, unmodified, with another base URL, against `stenopool up`."""

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.api.conftest import recording
from tests.e2e.conftest import Installation
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{installation.url}/v1", api_key=installation.key, max_retries=0) as made:
        yield made


def strictly(client: openai.OpenAI) -> openai.OpenAI:
    """The same, raising where an answer lacks what OpenAI's types have."""
    strict = client.with_options()
    strict._strict_response_validation = True
    return strict


def test_it_transcribes_to_every_format(client: openai.OpenAI) -> None:
    sound, said = recording(3.0)
    plain = client.audio.transcriptions.create(model="oracle", file=("talk.wav", sound))
    assert plain.text.split() == said
    assert plain._request_id is not None
    for name in ("text", "srt", "vtt"):
        written = client.audio.transcriptions.create(model="oracle", file=sound, response_format=name)
        assert isinstance(written, str)
        assert said[0] in written
    verbose = client.audio.transcriptions.create(
        model="oracle",
        file=io.BytesIO(sound),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert verbose.language == "english"
    assert [word.word for word in verbose.words or []] == said
    assert (verbose.segments or [])[0].text.startswith(" ")
    assert verbose.usage is not None and verbose.usage.seconds == pytest.approx(verbose.duration)


def test_its_strict_mode_finds_nothing_missing(client: openai.OpenAI) -> None:
    strict = strictly(client)
    sound, _ = recording(2.0)
    strict.audio.transcriptions.create(model="oracle", file=sound)
    strict.audio.transcriptions.create(model="oracle", file=sound, response_format="verbose_json")
    assert strict.models.list().data
    assert strict.models.retrieve("gpt-4o-transcribe").id == "gpt-4o-transcribe"


def test_it_streams_a_transcription(client: openai.OpenAI) -> None:
    sound, said = recording(5.0)
    with client.audio.transcriptions.create(model="oracle", file=sound, stream=True) as events:
        seen = list(events)
    assert {one.type for one in seen[:-1]} == {"transcript.text.delta"}
    assert seen[-1].type == "transcript.text.done"
    assert seen[-1].text.split() == said


@pytest.mark.filterwarnings("ignore:deprecated")  # by OpenAI; we go on offering it
def test_it_translates(client: openai.OpenAI) -> None:
    strict = strictly(client)
    sound, said = recording(2.0)
    assert strict.audio.translations.create(model="oracle", file=sound).text.split() == said
    verbose = strict.audio.translations.create(model="oracle", file=sound, response_format="verbose_json")
    assert verbose.language == "english"


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_it_speaks_in_every_format(client: openai.OpenAI, tmp_path: Path, name: str) -> None:
    target = tmp_path / f"speech.{name}"
    with client.audio.speech.with_streaming_response.create(
        model="oracle",
        voice="alloy",
        input="hello from here",
        response_format=name,
    ) as answer:
        answer.stream_to_file(target)
    assert target.stat().st_size > 500


def test_a_large_upload_with_a_wrong_key_is_still_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-nobody").audio.transcriptions.create(model="oracle", file=bytes(25_000_000))


def test_a_file_over_the_limit_is_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(model="oracle", file=bytes(40_000_000))
    assert refused.value.code == "file_too_large"


def test_it_lists_models_and_decodes_ids_with_slashes(client: openai.OpenAI) -> None:
    assert "whisper-1" in [model.id for model in client.models.list()]
    assert client.models.retrieve("whisper-1").owned_by == "openai"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("openai/whisper-large-v3")
    assert refused.value.code == "model_not_found"


def test_its_errors_have_all_four_fields(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(model="oracle", file=("a.mp3", b"this is no sound"))
    assert refused.value.type == "invalid_request"
    assert refused.value.message.startswith("Error code: 400")
    assert refused.value.request_id
    with pytest.raises(openai.AuthenticationError) as stranger:
        client.with_options(api_key="sk-nobody").models.list()
    assert stranger.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as silent:
        client.audio.speech.create(model="oracle", voice="alloy", input="")
    assert silent.value.param == "input"


def test_it_manages_webhook_endpoints(client: openai.OpenAI) -> None:
    made = [
        client.webhooks.create(name=str(n), url=f"https://example.org/{n}", event_types=["audio.job.completed"])
        for n in range(3)
    ]
    assert made[0].signing_secret.startswith("whsec_")
    latest = [one.id for one in client.webhooks.list(limit=1)][: len(made)]
    assert latest == [one.id for one in made[::-1]], "page by page"
    rotated = client.webhooks.rotate_secret(made[0].id, keep_old_secret_active_for_24_hours=True)
    assert rotated.signing_secret != made[0].signing_secret
    assert client.webhooks.update(made[0].id, name="else").name == "else"
    assert client.webhooks.retrieve(made[0].id).name == "else"
    assert "audio.job.completed" in client.webhooks.event_types.list().data
    assert client.webhooks.delete(made[0].id).deleted


def test_every_option_goes_through(client: openai.OpenAI) -> None:
    sound, said = recording(2.0)
    heard = strictly(client).audio.transcriptions.create(
        model="gpt-4o-transcribe",
        file=("talk.wav", sound),
        chunking_strategy={"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200},
        include=["logprobs"],
        language="en",
        prompt="A talk.",
        temperature=0.0,
        timestamp_granularities=["word", "segment"],
    )
    assert heard.text.split() == said
    assert [one.token for one in heard.logprobs or []] == said
    assert heard.usage is not None and heard.usage.type == "tokens" and heard.usage.total_tokens == 59
    hinted = client.audio.transcriptions.create(
        model="gpt-transcribe", file=sound, chunking_strategy="auto", languages=["en", "de"], keywords=["Stenopool"]
    )
    assert hinted.languages is not None and [one.code for one in hinted.languages] == ["en"]


def test_who_said_what(client: openai.OpenAI) -> None:
    sound, said = recording(2.0)
    sample = "data:audio/wav;base64," + base64.b64encode(sound).decode()
    asked: dict[str, Any] = {
        "model": "gpt-4o-transcribe-diarize",
        "file": sound,
        "response_format": "diarized_json",
        "chunking_strategy": "auto",
        "known_speaker_names": ["Ann", "Bob"],
        "known_speaker_references": [sample, sample],
    }
    heard = strictly(client).audio.transcriptions.create(**asked)
    assert [segment.speaker for segment in heard.segments] == ["Ann", "Bob"]
    assert " ".join(segment.text for segment in heard.segments).split() == said
    with strictly(client).audio.transcriptions.create(**asked, stream=True) as events:
        told = list(events)
    assert [one.speaker for one in told if one.type == "transcript.text.segment"] == ["Ann", "Bob"]
    with pytest.raises(openai.BadRequestError, match="gpt-4o-transcribe-diarize") as refused:
        client.audio.transcriptions.create(**{**asked, "model": "whisper-1"})
    assert (refused.value.param, refused.value.code) == ("response_format", "unsupported_value")


@pytest.mark.parametrize("model", ["oracle", "gpt-4o-transcribe"])
def test_a_strict_stream_finds_nothing_missing(client: openai.OpenAI, model: str) -> None:
    sound, said = recording(2.0)
    with strictly(client).audio.transcriptions.create(model=model, file=sound, stream=True) as events:
        last = list(events)[-1]
    assert last.type == "transcript.text.done" and last.text.split() == said
    assert (last.usage is None) == (model == "oracle"), "tokens that somebody counted, or none"
    assert last.usage is None or last.usage.total_tokens == 59


def test_raw_and_streamed_answers(client: openai.OpenAI, tmp_path: Path) -> None:
    sound, said = recording(2.0)
    raw = client.audio.transcriptions.with_raw_response.create(model="oracle", file=sound)
    assert raw.headers["x-perf-model-used"] == "oracle"
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse().text.split() == said
    with client.audio.transcriptions.with_streaming_response.create(
        model="oracle", file=sound, response_format="srt"
    ) as answer:
        assert "".join(answer.iter_text()).startswith("1\n00:00:0")
    asked: dict[str, Any] = {
        "model": "oracle",
        "voice": {"id": "nova"},
        "input": "hello there",
        "instructions": "Gently.",
    }
    with client.audio.speech.with_streaming_response.create(**asked, response_format="pcm") as spoken:
        assert len(b"".join(spoken.iter_bytes())) > 500
    with client.audio.speech.with_streaming_response.create(**asked, stream_format="sse") as spoken:
        events = [json.loads(line.removeprefix("data: ")) for line in spoken.iter_lines() if line]
    assert events[-1]["type"] == "speech.audio.done" and events[-1]["usage"]["total_tokens"] > 0
    raw_sound = client.audio.speech.with_raw_response.create(**asked)
    assert raw_sound.headers["content-type"] == "audio/mpeg"
    assert len(client.audio.speech.create(**asked).content) == len(raw_sound.content)


def in_async(installation: Installation, use: Callable[[openai.AsyncOpenAI], Awaitable[Any]]) -> Any:
    """What `use` returns."""

    async def run() -> Any:
        base = f"{installation.url}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key=installation.key, max_retries=0) as client:
            return await use(client)

    return asyncio.run(run())


def test_the_asynchronous_client(installation: Installation, tmp_path: Path) -> None:
    sound, said = recording(5.0)

    async def use(client: openai.AsyncOpenAI) -> dict[str, Any]:
        hear, speak = client.audio.transcriptions, client.audio.speech
        plain, text = await asyncio.gather(
            hear.create(model="oracle", file=sound),
            hear.create(model="oracle", file=("talk.wav", io.BytesIO(sound)), response_format="text"),
        )
        events = [event async for event in await hear.create(model="oracle", file=sound, stream=True)]
        raw = await hear.with_raw_response.create(model="oracle", file=sound)
        async with speak.with_streaming_response.create(model="oracle", voice="alloy", input="hello") as spoken:
            await spoken.stream_to_file(tmp_path / "speech.mp3")
        with pytest.raises(openai.NotFoundError):
            await hear.create(model="nobody", file=sound)
        return {"plain": plain.text, "text": text, "stream": events[-1].text, "raw": raw.parse().text}

    seen = in_async(installation, use)
    assert {name: text.split() for name, text in seen.items()} == dict.fromkeys(seen, said)
    assert (tmp_path / "speech.mp3").stat().st_size > 500


def test_an_archive_goes_up_in_parts_and_comes_back_as_a_batch(client: openai.OpenAI) -> None:
    sound, said = recording(3.0, seed=31)
    kept = client.uploads.upload_file_chunked(
        file=sound, filename="a.wav", bytes=len(sound), mime_type="audio/wav", purpose="user_data", part_size=50_000
    ).file
    assert kept is not None
    body = {"model": "oracle", "file_id": kept.id}
    hear: Any = "/v1/audio/transcriptions"  # which the client's types do not know yet
    lines = [{"custom_id": f"r-{n}", "method": "POST", "url": hear, "body": body} for n in range(10)]
    file = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=hear, completion_window="24h")
    ended = ("completed", "failed", "cancelled", "expired")
    wait_until(lambda: client.batches.retrieve(made.id).status in ended, seconds=120, every=0.2)
    done = client.batches.retrieve(made.id)
    assert (done.status, done.error_file_id) == ("completed", None)
    answers = [json.loads(line) for line in client.files.content(done.output_file_id or "").text.splitlines()]
    assert [answer["custom_id"] for answer in answers] == [line["custom_id"] for line in lines]
    assert {answer["response"]["body"]["text"] for answer in answers} == {" ".join(said)}
