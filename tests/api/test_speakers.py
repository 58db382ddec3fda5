"""Who said what with nothing configured: at the synchronous endpoint, in jobs of any cut, in streams and captions."""

import base64
import contextlib
import importlib
import io
import itertools
import json
import shutil
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import srt
from openai.types.audio import TranscriptionDiarized, TranscriptionTextSegmentEvent
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.jobs import Chunk, Job
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.oracle.speech import say
from pipeline.oracle.words import VOCABULARY
from pipeline.weights.voices import INSTALL
from tests.api import openai_schemas as schemas
from tests.api.conftest import JOBS, House, house_over
from tests.support import tiny_voices
from workers.deletions import erase

pytestmark = pytest.mark.processes

HEAR, TRANSLATE = "/v1/audio/transcriptions", "/v1/audio/translations"
PITCHES = (110.0, 190.0)  # Hz
CATALOG = """
[providers.oracle]
scripted = true
max_s = {longest}
min_s = 4.0

[models.gpt-4o-transcribe-diarize]
routes = [{{ provider = "oracle", model = "oracle" }}]
prices = {{ audio_minute = "0.006" }}

[models.dear]
tasks = ["transcription", "translation"]
routes = [{{ provider = "oracle", model = "oracle" }}]
prices = {{ audio_minute = "0.006", speakers_minute = "0.003" }}
"""
MODEL = "gpt-4o-transcribe-diarize"
TURNS = (0, 1, 0, 1, 0)
LONGEST = (240.0, 7.0, 11.3)  # seconds of a chunk


def talk(turns: tuple[int, ...] = TURNS) -> tuple[bytes, list[tuple[str, int]]]:
    """A WAV, and its words, each with who says it: five seconds a turn, with a pause behind it."""
    said, sound, at = list[tuple[str, int]](), b"", 0
    for who in turns:
        words = [VOCABULARY[(at + step) % len(VOCABULARY)] for step in range(13)]
        at += len(words)
        said += [(word, who) for word in words]
        sound += say(words, hum_hz=PITCHES[who], edge_s=0.35)
    return as_wav(sound), said


def as_wav(pcm: bytes, channels: int = 1) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((channels, 2, 16_000, 0, "NONE", ""))
        file.writeframes(pcm)
    return held.getvalue()


SOUND, SAID = talk()


def services_of(home: Path, longest: float) -> Services:
    catalog = home / "catalog.toml"
    catalog.write_text(CATALOG.format(longest=longest))
    return build(Settings(home=home, catalog=catalog, models=home / "models"), engine_processes=1)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[float, House]]:
    """One that hears a recording in one piece, and one that cuts it into many."""
    with pytest.MonkeyPatch.context() as patch:
        opened = {}
        built = list[Any]()
        for longest in LONGEST:
            home = tmp_path_factory.mktemp("home")
            folder = tiny_voices.build(home / "models" / tiny_voices.NAME)
            described = {tiny_voices.NAME: tiny_voices.weights(folder)}
            patch.setattr("infra.settings.shipped_weights", described.copy)
            services = services_of(home, longest)
            context = house_over(services)
            opened[longest] = context.__enter__()
            built += [context, services]
        yield opened
        for context, services in zip(built[::2], built[1::2], strict=True):
            context.__exit__(None, None, None)
            services.close()


@pytest.fixture(params=LONGEST, ids=["whole", "cut", "odd"])
def speaking(request: pytest.FixtureRequest, homes: dict[float, House]) -> House:
    return homes[request.param]


def hear(house: House, path: str = HEAR, sound: bytes = SOUND, **fields: Any) -> Any:
    data = {"model": MODEL, **fields}
    return house.post(path, data=data, files={"file": ("talk.wav", sound)})


def done(house: House, **fields: Any) -> dict[str, Any]:
    job = house.submit(SOUND, **{"model": MODEL, **fields})
    house.work()
    found = house.get(f"{JOBS}/{job['id']}").json()
    assert found["status"] == "completed", found["error"]
    return found


def labelled(segments: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(word, segment["speaker"]) for segment in segments for word in segment["text"].split()]


def expected(names: str = "AB") -> list[tuple[str, str]]:
    return [(word, names[who]) for word, who in SAID]


def test_every_model_that_hears_offers_it(speaking: House) -> None:
    models = speaking.get("/v1/models").json()["data"]
    assert all(("diarized_json" in one["formats"]) == ("transcription" in one["tasks"]) for one in models)


def test_diarized_json_at_once_and_as_a_job(speaking: House) -> None:
    body = hear(speaking, response_format="diarized_json").json()
    assert labelled(body["segments"]) == expected()
    jsonschema.validate(body, schemas.DIARIZED)
    ids, starts = zip(*((one["id"], one["start"]) for one in body["segments"]), strict=True)
    assert len(set(ids)) == len(ids) and list(starts) == sorted(starts)
    assert body["quality"]["speakers"]["found"] == 2 and 0 < body["quality"]["speakers"]["confidence"] <= 1
    job = done(speaking, response_format="diarized_json")
    assert job["quality"]["speakers"] == body["quality"]["speakers"]
    again = speaking.get(f"{JOBS}/{job['id']}/transcript").json()
    assert again["segments"] == body["segments"]


def test_nothing_but_labels_and_cuts(speaking: House) -> None:
    asked = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    plain, told = hear(speaking, **asked), hear(speaking, **asked, speakers="auto")
    assert plain.headers["x-perf-cost-usd"] == told.headers["x-perf-cost-usd"]
    plain, told = plain.json(), told.json()
    assert "speaker" not in json.dumps(plain)
    words = [{name: value for name, value in word.items() if name != "speaker"} for word in told["words"]]
    assert (plain["text"], plain["words"]) == (told["text"], words)
    assert [(word["word"], word["speaker"]) for word in told["words"]] == expected()
    assert labelled(told["segments"]) == expected()


def test_captions_and_text_say_who_speaks(speaking: House) -> None:
    captions = [one.content for one in srt.parse(hear(speaking, response_format="srt", speakers="2").text)]
    assert captions[0].startswith("A: ") and sum(one.startswith("B: ") for one in captions) == 2
    text = hear(speaking, response_format="text", speakers="auto").text
    assert [line[:3] for line in text.splitlines()] == ["A: ", "B: ", "A: ", "B: ", "A: "]


def test_a_stream_tells_the_text_at_once_and_the_speakers_as_the_document_does(speaking: House) -> None:
    answer = hear(speaking, response_format="diarized_json", stream="true")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    deltas = [one["delta"] for one in events if one["type"] == "transcript.text.delta"]
    segments = [one for one in events if one["type"] == "transcript.text.segment"]
    assert all(TranscriptionTextSegmentEvent.model_validate(one, strict=True) for one in segments)
    assert events[-1]["type"] == "transcript.text.done" and events[-1]["text"] == "".join(deltas)
    document = hear(speaking, response_format="diarized_json").json()["segments"]
    assert segments == document


def test_of_a_part_only_what_lies_in_it(speaking: House) -> None:
    """The second voice is the first one there."""
    begin = (len(talk(TURNS[:1])[0]) - 44) / 32_000
    job = done(speaking, speakers="auto", range=f"{begin}-")
    told = labelled(speaking.get(f"{JOBS}/{job['id']}/segments").json()["data"])
    assert told == [(word, "BA"[who]) for word, who in SAID[13:]]
    assert job["quality"]["speakers"]["found"] == 2


def test_within_each_channel(speaking: House) -> None:
    """One in which a single voice speaks says by itself who that is."""
    left, right = (np.frombuffer(talk(turns)[0][44:], "<i2") for turns in ((0, 1, 0), (1, 1, 1)))
    both = np.zeros((max(len(left), len(right)), 2), "<i2")
    both[: len(left), 0], both[: len(right), 1] = left, right
    body = hear(speaking, sound=as_wav(both.tobytes(), 2), response_format="diarized_json", channels="separate").json()
    assert {one["speaker"] for one in body["segments"]} == {"channel_0:A", "channel_0:B", "channel_1"}
    mine = [(word, who) for word, who in labelled(body["segments"]) if who != "channel_1"]
    assert mine == [(word, f"channel_0:{'AB'[who]}") for word, who in talk((0, 1, 0))[1]]
    assert body["quality"]["speakers"]["found"] == 3


def test_a_number_is_kept_and_one_is_one(speaking: House) -> None:
    for count in (1, 2):
        body = hear(speaking, response_format="diarized_json", speakers=str(count)).json()
        assert len({one["speaker"] for one in body["segments"]}) == count


def test_a_name_for_the_voice_that_fits_and_letters_for_the_rest(speaking: House) -> None:
    sample = as_wav(say(list(VOCABULARY[40:52]), hum_hz=PITCHES[1]))
    url = "data:audio/wav;base64," + base64.b64encode(sample).decode()
    named = {"known_speaker_names[]": "Bob", "known_speaker_references[]": url}
    body = hear(speaking, response_format="diarized_json", **named).json()
    assert labelled(body["segments"]) == [(word, ("A", "Bob")[who]) for word, who in SAID]
    assert "warnings" not in body
    silent = "data:audio/wav;base64," + base64.b64encode(as_wav(bytes(64_000))).decode()
    refused = hear(speaking, response_format="diarized_json", **named | {"known_speaker_references[]": silent})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "known_speaker_references")


@pytest.mark.parametrize("path", [HEAR, JOBS, TRANSLATE])
def test_what_makes_no_sense_is_refused(house: House, path: str) -> None:
    for value in ("0", "21", "two", "-1", "1.5"):
        answer = hear(house, path, speakers=value, model="oracle")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "speakers"), value


def test_a_translation_does_not_say_who_speaks(house: House) -> None:
    answer = hear(house, TRANSLATE, speakers="auto", model="oracle")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "speakers")
    answer = hear(house, JOBS, speakers="auto", model="oracle", task="translation")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "speakers")


def test_a_worker_that_dies_changes_no_label(speaking: House) -> None:
    """In the middle of a chunk, and again when all are compared: what was measured by then is not measured again."""
    undisturbed = speaking.get(f"{JOBS}/{done(speaking, speakers='auto')['id']}/segments").json()["data"]
    job_id = speaking.submit(SOUND, model=MODEL, speakers="auto")["id"]
    with pytest.MonkeyPatch.context() as patch:
        for place in ("workers.steps.transcribe.stored", "workers.steps.finish.labelled"):
            patch.setattr(place, dies_once(place))
        while speaking.get(f"{JOBS}/{job_id}").json()["status"] != "completed":
            with contextlib.suppress(Died):
                speaking.work()
            bury(speaking)
    assert speaking.get(f"{JOBS}/{job_id}/segments").json()["data"] == undisturbed


class Died(BaseException):
    """As a process does: nothing is put in order behind it."""


def dies_once(place: str) -> Callable[..., Any]:
    """The function at this place; whoever calls it first never gets an answer."""
    module, _, name = place.rpartition(".")
    real, calls = getattr(importlib.import_module(module), name), itertools.count()

    def call(*given: Any, **named: Any) -> Any:
        if not next(calls):
            raise Died
        return real(*given, **named)

    return call


def bury(house: House) -> None:
    """The leases of the dead end, and the sweep gives back what they held."""
    with house.services.database.write() as session:
        for table in (Job, Chunk):
            session.execute(update(table).where(col(table.lease_until).is_not(None)).values(lease_until=1.0))
    house.services.jobs.rescue()


def test_telling_them_apart_costs_what_its_price_says_and_nothing_where_it_has_none(speaking: House) -> None:
    def cost(**fields: Any) -> float:
        return float(hear(speaking, **fields).headers["x-perf-cost-usd"])

    seconds = len(SOUND[44:]) / 32_000
    assert cost() == cost(speakers="auto")
    plain = cost(model="dear")
    assert plain == pytest.approx(seconds * 0.006 / 60, abs=1e-6)
    told = cost(model="dear", speakers="auto")
    assert told == pytest.approx(seconds * 0.009 / 60, abs=1e-6)
    assert cost(model="dear", response_format="diarized_json") == told
    assert done(speaking, model="dear", speakers="auto")["cost"]["captured"] == told
    assert done(speaking, model="dear")["cost"]["captured"] == plain
    (receipt,) = speaking.get(done(speaking, model="dear", speakers="auto")["receipt_url"]).json()["data"]
    assert receipt["prices"] == {"audio_minute": "0.006", "speakers_minute": "0.003"}

    def estimate(**fields: Any) -> Any:
        return speaking.post("/v1/audio/estimates", json={"model": "dear", "duration_seconds": 60, **fields}).json()

    assert estimate()["cost"]["estimated"] == estimate(task="translation")["cost"]["estimated"] == 0.006
    assert estimate(speakers="auto")["cost"]["estimated"] == 0.009
    assert estimate(speakers="auto")["work"]["seconds"] > 0


def test_samples_of_voices_do_not_outlive_the_work(speaking: House) -> None:
    sample = as_wav(say(list(VOCABULARY[40:46]), hum_hz=PITCHES[1]))
    named = {
        "known_speaker_names[]": "Bob",
        "known_speaker_references[]": "data:audio/wav;base64," + base64.b64encode(sample).decode(),
    }
    job = done(speaking, response_format="diarized_json", **named)
    assert job["request"]["known_speaker_references"] == ["data:audio/wav;base64,…"]
    while erase(speaking.services):
        pass
    assert not [key for key in speaking.stored() if job["id"] in key and key.endswith("request.json")]
    assert speaking.get(f"{JOBS}/{job['id']}/segments").json()["data"][1]["speaker"] == "Bob"


def test_the_sdk_finds_what_it_knows(speaking: House) -> None:
    body = hear(speaking, response_format="diarized_json").json()
    told = TranscriptionDiarized.model_validate(body, strict=True)
    assert [one.speaker for one in told.segments] == [one["speaker"] for one in body["segments"]]


def test_voices_go_with_the_job(speaking: House) -> None:
    job = done(speaking, speakers="auto")
    assert job["request"]["speakers"] == "auto"
    assert [one["speaker"] for one in speaking.get(f"{JOBS}/{job['id']}/segments").json()["data"]][:1] == ["A"]
    assert speaking.delete(f"{JOBS}/{job['id']}").status_code == 200
    assert not [key for key in speaking.stored() if job["id"] in key]


def test_without_the_model_it_is_an_option_that_warns_or_a_400_that_says_how(house: House) -> None:
    body = hear(house, model="oracle", response_format="verbose_json", speakers="auto").json()
    (warning,) = body["warnings"]
    assert warning["code"] == "speakers_unknown" and INSTALL in warning["message"]
    assert "speaker" not in body["segments"][0] and "quality" not in body
    job = done(house, model="oracle", speakers="auto")
    assert [one["code"] for one in job["warnings"]] == ["speakers_unknown"] and "warnings" not in job["quality"]
    refused = hear(house, model="oracle", response_format="diarized_json")
    assert refused.status_code == 400 and INSTALL in refused.json()["error"]["message"]


def test_a_damaged_model_costs_nobody_the_transcript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_voices.build(tmp_path / "models" / tiny_voices.NAME)
    told = tiny_voices.weights(folder)
    model = next(path for path in folder.iterdir() if path.suffix == ".onnx")
    model.write_bytes(bytes(model.stat().st_size))
    monkeypatch.setattr("infra.settings.shipped_weights", lambda: {tiny_voices.NAME: told})
    with services_of(tmp_path, 240.0) as services, house_over(services) as house:
        plain = hear(house, response_format="json").json()["text"]
        body = hear(house, response_format="json", speakers="auto").json()
        assert body["text"] == plain and [one["code"] for one in body["warnings"]] == ["speakers_unknown"]
        before = house.get("/v1/balance").json()
        failed = hear(house, response_format="diarized_json")
        assert failed.status_code >= 500 and failed.json()["error"]["code"] == "speakers_unknown"
        assert "verify" in failed.json()["error"]["message"]
        assert house.get("/v1/balance").json() == before
        job = house.submit(SOUND, model=MODEL, response_format="diarized_json")
        house.work()
        found = house.get(f"{JOBS}/{job['id']}").json()
        assert (found["status"], found["error"]["code"]) == ("failed", "speakers_unknown")
    shutil.rmtree(folder)
