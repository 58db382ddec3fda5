"""The official OpenAI client for Python, unmodified, with another base URL."""

import io
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import recording
from tests.api.serving import running


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with build(Settings(home=tmp_path_factory.mktemp("home")), engine_processes=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(services: Services) -> Iterator[openai.OpenAI]:
    account = services.accounts.create_account("sdk", "enterprise")
    secret, _ = services.accounts.create_key(account.id)
    with (
        running(create_app(services)) as place,
        openai.OpenAI(base_url=f"{place.url}/v1", api_key=secret, max_retries=0) as made,
    ):
        yield made


def test_it_transcribes_to_every_format(client: openai.OpenAI) -> None:
    sound, said = recording(3.0)
    plain = client.audio.transcriptions.create(model="oracle", file=("talk.wav", sound))
    assert plain.text.split() == said
    assert plain._request_id is not None
    for name in ("text", "srt", "vtt"):
        written = client.audio.transcriptions.create(model="oracle", file=sound, response_format=name)  # type: ignore[call-overload]
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
    strict = client.with_options()
    strict._strict_response_validation = True
    sound, _ = recording(2.0)
    strict.audio.transcriptions.create(model="oracle", file=sound)
    strict.audio.transcriptions.create(model="oracle", file=sound, response_format="verbose_json")
    assert strict.models.list().data


def test_it_streams_a_transcription(client: openai.OpenAI) -> None:
    sound, said = recording(5.0)
    with client.audio.transcriptions.create(model="oracle", file=sound, stream=True) as events:
        seen = list(events)
    assert {one.type for one in seen[:-1]} == {"transcript.text.delta"}
    assert seen[-1].type == "transcript.text.done"
    assert seen[-1].text.split() == said


@pytest.mark.filterwarnings("ignore:deprecated")  # by OpenAI; we go on offering it
def test_it_translates(client: openai.OpenAI) -> None:
    strict = client.with_options()
    strict._strict_response_validation = True
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
        response_format=name,  # type: ignore[arg-type]
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
        client.webhooks.create(name=str(n), url=f"https://example.org/{n}", event_types=["audio.job.completed"])  # type: ignore[list-item]
        for n in range(3)
    ]
    assert made[0].signing_secret.startswith("whsec_")
    assert [one.id for one in client.webhooks.list(limit=1)] == [one.id for one in made[::-1]], "page by page"
    rotated = client.webhooks.rotate_secret(made[0].id, keep_old_secret_active_for_24_hours=True)
    assert rotated.signing_secret != made[0].signing_secret
    assert client.webhooks.update(made[0].id, name="else").name == "else"
    assert client.webhooks.retrieve(made[0].id).name == "else"
    assert "audio.job.completed" in client.webhooks.event_types.list().data
    assert client.webhooks.delete(made[0].id).deleted
