"""Groq's official client for Python, unmodified, with another base URL, against `stenopool up`."""

import json
from collections.abc import Iterator

import groq
import pytest

from tests.api.conftest import recording
from tests.e2e.conftest import Installation


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[groq.Groq]:
    with groq.Groq(base_url=installation.url, api_key=installation.key, max_retries=0) as made:
        yield made


def test_it_transcribes_and_finds_its_id(client: groq.Groq) -> None:
    sound, said = recording(3.0)
    plain = client.audio.transcriptions.create(model="oracle", file=("talk.wav", sound))
    assert plain.text.split() == said
    body = json.loads(plain.to_json())
    assert body["x_groq"] == {"id": body["perf"]["request_id"]}
    verbose = client.audio.transcriptions.create(
        model="oracle", file=("talk.wav", sound), response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert len(json.loads(verbose.to_json())["words"]) == len(said)


def test_it_translates_speaks_and_lists(client: groq.Groq) -> None:
    sound, said = recording(2.0)
    assert client.audio.translations.create(model="oracle", file=("talk.wav", sound)).text.split() == said
    spoken = client.audio.speech.create(model="oracle", input="hello there", voice="nova", response_format="wav")
    assert spoken.read().startswith(b"RIFF")
    assert "oracle" in {model.id for model in client.models.list().data}


def test_its_errors_are_its_own(client: groq.Groq) -> None:
    with pytest.raises(groq.NotFoundError):
        client.audio.transcriptions.create(model="nobody", file=("talk.wav", recording()[0]))
