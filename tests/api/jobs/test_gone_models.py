"""A job for a name whose vendor has ended it: done by the successor, in any format, or by the engine on this machine."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.wiring import build
from pipeline.oracle.ear import listen
from tests.api.conftest import JOBS, House, house_over, recording
from tests.support import tiny_whisper
from tests.support.after_shutdown_upstream import MODEL, Upstream, after_the_shutdown

pytestmark = pytest.mark.processes
SOUND, SAID = recording(70.0)


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with after_the_shutdown(lambda pcm: " ".join(word.text for word in listen(pcm))) as place:
        yield place


@pytest.fixture(scope="module", params=["pocketsphinx-en-us", "tiny-whisper", ""])
def ear(request: pytest.FixtureRequest) -> str:
    """Who hears on this machine, if anybody does."""
    return str(request.param)


@pytest.fixture(scope="module")
def house(ear: str, vendor: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home: Path = tmp_path_factory.mktemp("home")
    catalog = home / "catalog.toml"
    model = tiny_whisper.build(home / ear) if ear == "tiny-whisper" else ""
    catalog.write_text(f'[providers.whisper-base]\nmodel = "{model}"\ncpu_threads = 1\n')
    settings = Settings(
        home=home,
        catalog=catalog,
        embedded_engines="auto" if ear else "off",
        openai_api_key="sk-upstream",
        openai_base_url=f"{vendor.url}/v1",
    )
    with build(settings, engine_processes=1) as services, house_over(services) as built:
        yield built


def test_a_job_by_the_successor(house: House, vendor: Upstream, ear: str) -> None:
    before = len(vendor.forms)
    job = house.submit(SOUND, model="whisper-1", language="en")
    house.work()
    done = house.get(f"{JOBS}/{job['id']}").json()
    assert (done["status"], done["model_used"]) == ("completed", MODEL), done["error"]
    assert {tuple(form) for form in vendor.forms[before:]} == {("model", "response_format", "languages[]")}
    where = f"{JOBS}/{job['id']}/transcript"
    assert house.get(where, params={"format": "text"}).text.split() == SAID
    assert house.get(where, params={"format": "srt"}).text.startswith("1\n00:00:0")
    words = house.get(where, params={"format": "verbose_json", "timestamp_granularities": "word"}).json()["words"]
    if ear != "tiny-whisper":
        assert not words, "nobody here can tell when they are said"
        return
    assert [word["word"] for word in words] == SAID
    assert len(vendor.forms) - before >= 3, "no more sound at once than its words can be found in"
    assert all(one["start"] <= two["start"] for one, two in pairwise(words))


def test_a_translation_by_the_engine_or_by_nobody(house: House, ear: str) -> None:
    job = house.submit(recording(3.0)[0], model="whisper-1", task="translation")
    house.work()
    done = house.get(f"{JOBS}/{job['id']}").json()
    if ear:
        assert (done["status"], done["model_used"]) == ("completed", ear), done["error"]
        return
    assert (done["status"], done["error"]["code"]) == ("failed", "model_unavailable")
    sound = {"file": ("talk.wav", SOUND)}
    refused = house.post("/v1/audio/translations", data={"model": "whisper-1"}, files=sound)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")


def test_speech_by_the_engine_or_by_nobody(house: House, ear: str) -> None:
    spoken = house.post("/v1/audio/speech", json={"model": "tts-1", "input": "Good morning.", "voice": "alloy"})
    job = house.post(
        JOBS, json={"model": "tts-1-hd", "task": "speech", "text": "Good morning.", "voice": "verse"}
    ).json()
    house.work()
    done = house.get(f"{JOBS}/{job['id']}").json()
    if ear:
        assert (spoken.status_code, spoken.headers["x-perf-model-used"]) == (200, "espeak-ng")
        assert (done["status"], done["model_used"]) == ("completed", "espeak-ng")
        return
    assert (spoken.status_code, spoken.json()["error"]["code"]) == (503, "model_unavailable")
    assert (done["status"], done["error"]["code"]) == ("failed", "model_unavailable")
