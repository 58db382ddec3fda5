"""February 2027: the vendor has gpt-transcribe and nothing else. Programs of before go on, with OpenAI's own clients for Python
and for Node, unmodified."""

import io
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import openai
import pytest

from api.main import create_app
from cli.demo import PARAGRAPH
from infra.settings import Settings
from infra.wiring import build
from pipeline.audio.encode import encode
from pipeline.catalog.toml_file import load_catalog
from pipeline.options import SpeechOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.transcript import Word
from pipeline.tts.passage import SAMPLE_RATE, recite
from tests.api.serving import running
from tests.e2e.test_cascade import key_of
from tests.support.after_shutdown_upstream import MODEL, Upstream, after_the_shutdown
from tests.support.real_weights import real_weights

pytestmark = [
    pytest.mark.processes,
    pytest.mark.filterwarnings("ignore:deprecated"),  # by OpenAI; we go on offering it
]
GONE = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize")
GEMINI = "gemini-3.1-flash-tts-preview"


@dataclass(frozen=True)
class Spoken:
    """The demo's paragraph as a WAV, and its words, at the times that the voice itself tells."""

    wav: bytes
    words: tuple[Word, ...]


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    with ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=1) as registry:
        said = recite(SpeechOptions(model="espeak-ng", voice="en-us+f5", input=PARAGRAPH, speed=0.9), registry)
    wav = b"".join(encode(iter([said.pcm]), sample_rate=SAMPLE_RATE, target="wav"))
    return Spoken(wav, tuple(word for sentence in said.sentences for word in sentence.words))


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with after_the_shutdown(lambda _: PARAGRAPH) as place:
        yield place


@pytest.fixture(scope="module")
def client(vendor: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    home = tmp_path_factory.mktemp("home")
    models = home / "models"  # the ear alone: no voice, nobody who tells speakers apart, whatever is installed
    models.mkdir()
    (models / "whisper-base").symlink_to(real_weights("whisper-base") / "whisper-base", target_is_directory=True)
    (home / "catalog.toml").write_text(f'[providers.gemini]\nbase_url = "{vendor.url}"\n')
    settings = Settings(
        home=home,
        catalog=home / "catalog.toml",
        models=models,
        openai_api_key="sk-upstream",
        openai_base_url=f"{vendor.url}/v1",
        gemini_api_key="AIza-upstream",
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        build(settings, engine_processes=1) as services,
        running(create_app(services)) as place,
        openai.OpenAI(base_url=f"{place.url}/v1", api_key=key_of(services), max_retries=0) as made,
    ):
        patch.setattr("pipeline.catalog.gone_routes.REMEMBERED_S", 1e9)
        yield made


def used(answer: Any) -> str:
    return str(answer.model_extra["perf"]["model_used"])


def file(spoken: Spoken) -> tuple[str, io.BytesIO]:
    return "talk.wav", io.BytesIO(spoken.wav)


@pytest.mark.parametrize("model", [*GONE, MODEL])
def test_every_option_of_a_transcription(client: openai.OpenAI, vendor: Upstream, spoken: Spoken, model: str) -> None:
    ask = client.audio.transcriptions.create
    plain = ask(
        model=model,
        file=file(spoken),
        language="en",
        prompt="A talk.",
        temperature=0.2,
        chunking_strategy="auto",
        timestamp_granularities=["segment"],
    )
    assert (plain.text, used(plain)) == (PARAGRAPH, MODEL)
    assert vendor.forms[-1]["languages[]"] == ["en"] and "language" not in vendor.forms[-1]
    assert ask(model=model, file=file(spoken), response_format="text").strip() == PARAGRAPH


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
def test_every_format_with_times(client: openai.OpenAI, spoken: Spoken, model: str) -> None:
    ask = client.audio.transcriptions.create
    assert ask(model=model, file=file(spoken), response_format="srt").startswith("1\n00:00:0")
    assert ask(model=model, file=file(spoken), response_format="vtt").startswith("WEBVTT\n\n00:00:0")
    verbose = ask(model=model, file=file(spoken), response_format="verbose_json")
    assert (verbose.text, verbose.language, used(verbose)) == (PARAGRAPH, "english", MODEL)
    assert len(verbose.segments or ()) == PARAGRAPH.count("."), "a sentence each"
    assert all(one.end <= two.start for one, two in pairwise(verbose.segments or ()))


def test_words_are_where_the_voice_says_them(client: openai.OpenAI, spoken: Spoken) -> None:
    heard = client.audio.transcriptions.create(
        model="whisper-1", file=file(spoken), response_format="verbose_json", timestamp_granularities=["word"]
    )
    words = heard.words or []
    assert [word.word for word in words] == [word.text for word in spoken.words]
    off = [abs(heard.start - said.start / 1000) for heard, said in zip(words, spoken.words, strict=True)]
    assert median(off) <= 0.1, off
    ends = [abs(heard.end - said.end / 1000) for heard, said in zip(words, spoken.words, strict=True)]
    assert median(ends) <= 0.1, ends


def test_words_of_a_natural_voice_are_within_their_sentences(client: openai.OpenAI) -> None:
    """Kokoro's, whose sentences are exact in time; of the words within them it tells none."""
    with ProviderRegistry(Settings(models=real_weights("kokoro")).load_catalog(), engine_processes=1) as registry:
        said = recite(SpeechOptions(model="kokoro", voice="nova", input=PARAGRAPH), registry)
    wav = b"".join(encode(iter([said.pcm]), sample_rate=SAMPLE_RATE, target="wav"))
    heard = client.audio.transcriptions.create(
        model="whisper-1", file=("talk.wav", wav), response_format="verbose_json", timestamp_granularities=["word"]
    )
    words, off = list(heard.words or []), list[float]()
    assert [word.word for word in words] == [word.text for one in said.sentences for word in one.words]
    for sentence in said.sentences:
        mine = [words.pop(0) for _ in sentence.words]
        off += [abs(mine[0].start - sentence.start / 1000), abs(mine[-1].end - sentence.end / 1000)]
    assert median(off) <= 0.1, off


@pytest.mark.parametrize("model", [*GONE, MODEL])
def test_a_stream(client: openai.OpenAI, spoken: Spoken, model: str) -> None:
    with client.audio.transcriptions.create(model=model, file=file(spoken), stream=True) as events:
        *deltas, done = list(events)
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert "".join(event.delta for event in deltas) == done.text == PARAGRAPH
    assert used(done) == MODEL


def test_translations_by_who_translates(client: openai.OpenAI, vendor: Upstream, spoken: Spoken) -> None:
    ask = client.audio.translations.create
    plain = ask(model="whisper-1", file=file(spoken), prompt="A talk.", temperature=0.0)
    assert used(plain) == "whisper-base" and "computers" in plain.text
    assert "computers" in ask(model="whisper-1", file=file(spoken), response_format="text")
    assert "-->" in ask(model="whisper-1", file=file(spoken), response_format="srt")
    assert ask(model="whisper-1", file=file(spoken), response_format="vtt").startswith("WEBVTT")
    verbose = ask(model="whisper-1", file=file(spoken), response_format="verbose_json")
    assert verbose.language == "english" and verbose.segments
    assert [path for path, _ in vendor.asked].count("/v1/audio/translations") == 1, "what is gone is asked for once"


@pytest.mark.parametrize("model", GONE)
def test_what_is_gone_is_asked_for_once(client: openai.OpenAI, vendor: Upstream, spoken: Spoken, model: str) -> None:
    for _ in range(2):
        client.audio.transcriptions.create(model=model, file=file(spoken))
    assert vendor.count(model) == 1


def test_nobody_who_is_left_tells_speakers_apart(client: openai.OpenAI, spoken: Spoken) -> None:
    for _ in range(2):
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.transcriptions.create(model=GONE[-1], file=file(spoken), response_format="diarized_json")
        assert (refused.value.code, refused.value.param) == ("unsupported_value", "response_format")


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", GEMINI])
def test_speech_by_the_embedded_voice(client: openai.OpenAI, model: str) -> None:
    for form, voice in (("mp3", "nova"), ("wav", "cedar"), ("pcm", "Kore" if model == GEMINI else "marin")):
        said = client.audio.speech.with_raw_response.create(
            model=model, input="Good morning.", voice=voice, response_format=form, speed=1.2, instructions="Calmly."
        )
        assert said.headers["x-perf-model-used"] == "espeak-ng"
        assert len(said.content) > 2000
    assert np.abs(np.frombuffer(said.content, "<i2")).max() > 1000
    events = client.audio.speech.with_raw_response.create(
        model=model, input="Good morning.", voice="alloy", stream_format="sse"
    )
    assert json.loads(events.text.strip().rpartition("data: ")[2])["perf"]["model_used"] == "espeak-ng"


def test_a_voice_that_is_nobodys_is_still_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model=GEMINI, input="Good morning.", voice="nobody")
    assert refused.value.param == "voice"


def test_models_say_who_answers_now(client: openai.OpenAI, spoken: Spoken) -> None:
    client.audio.transcriptions.create(model="whisper-1", file=file(spoken))
    shown = client.models.retrieve("whisper-1").model_extra or {}
    served = {one["task"]: [route["model"] for route in one["served_by"]] for one in shown["endpoints"]}
    assert shown["available"] and served["transcription"] == [MODEL]


@pytest.fixture(scope="module")
def node(client: openai.OpenAI, spoken: Spoken, node_package: Path) -> dict[str, Any]:
    """What a program of before got, by case."""
    (node_package / "spoken.wav").write_bytes(spoken.wav)
    told = {"PATH": os.environ["PATH"], "STENOPOOL_URL": str(client.base_url), "STENOPOOL_KEY": client.api_key}
    given = ("node", "after.mjs", "spoken.wav")
    ran = subprocess.run(given, cwd=node_package, env=told, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("model", [*GONE, MODEL])
def test_node_is_answered_under_every_name(node: dict[str, Any], model: str) -> None:
    got = node["models"][model]
    assert (got["json"]["text"], got["json"]["used"]) == (PARAGRAPH, MODEL)
    assert got["text"]["text"].strip() == PARAGRAPH
    *deltas, done = got["stream"]
    assert "".join(event["delta"] for event in deltas) == done["text"] == PARAGRAPH
    assert done["type"] == "transcript.text.done"


def test_node_gets_every_format_with_times(node: dict[str, Any], spoken: Spoken) -> None:
    assert node["readStream"]["text"] == PARAGRAPH
    assert node["srt"]["text"].startswith("1\n00:00:0") and node["vtt"]["text"].startswith("WEBVTT\n\n00:00:0")
    assert [word["word"] for word in node["verbose"]["words"]] == [word.text for word in spoken.words]
    assert len(node["verbose"]["segments"]) == PARAGRAPH.count(".")


def test_node_gets_translations_and_speech(node: dict[str, Any]) -> None:
    assert {got["used"] for got in node["translations"].values()} == {"whisper-base"}
    assert all("computers" in got["text"] for got in node["translations"].values())
    assert len(node["speech"]) == 3 * 6
    assert all(got["used"] == "espeak-ng" and got["bytes"] > 500 for got in node["speech"].values()), node["speech"]
    assert node["diarized"] == {"class": "BadRequestError", "code": "unsupported_value", "param": "response_format"}
