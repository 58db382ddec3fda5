"""A language that nobody hears is refused at every door, before anything is kept, asked or paid; `auto` is no language."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from infra.database.tables.jobs import Job
from infra.database.tables.money import OpenHold, OpenMinutes, Receipt
from infra.database.tables.uploads import Media
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import House, recording
from tests.support.accounts import rich

HEAR, TRANSLATE, JOBS, ESTIMATES = (
    f"/v1/audio/{end}" for end in ("transcriptions", "translations", "jobs", "estimates")
)
ASYNC = {"Prefer": "respond-async"}
CATALOG = """
[providers.oracle]
log = "{folder}/calls"

[providers.second]
kind = "oracle"

[models.english]
tasks = ["transcription", "translation"]
languages = ["en"]
routes = [{{ provider = "oracle", model = "oracle" }}]
prices = {{ audio_minute = "0.006" }}

[models.both]
tasks = ["transcription", "translation"]
routes = [
    {{ provider = "oracle", model = "first", languages = ["en"] }},
    {{ provider = "second", model = "second", languages = ["de"] }},
]
"""
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "transcription": (HEAR, {"file": True}),
    "stream": (HEAR, {"file": True, "stream": "true"}),
    "translation": (TRANSLATE, {"file": True}),
    "transcription later": (HEAR, {"file": True, "headers": ASYNC}),
    "translation later": (TRANSLATE, {"file": True, "headers": ASYNC}),
    "job": (JOBS, {"file": True}),
    "job of translation": (JOBS, {"file": True, "task": "translation"}),
    "job by url": (JOBS, {"url": "http://127.0.0.1:9/talk.wav"}),
    "estimate": (ESTIMATES, {"file": True}),
    "estimate by length": (ESTIMATES, {"duration_seconds": 3}),
    "estimate by url": (ESTIMATES, {"url": "http://127.0.0.1:9/talk.wav"}),
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("languages")
    (home / "catalog.toml").write_text(CATALOG.format(folder=home))
    settings = Settings(home=home, catalog=home / "catalog.toml", outbound_allow="127.0.0.0/8")
    with build(settings, engine_processes=1) as opened:
        yield opened


@pytest.fixture
def house(services: Services) -> Iterator[House]:
    account = rich(services.database, "mine")
    key, _ = services.accounts.create_key(account)
    with TestClient(create_app(services)) as client:
        built = House(services, client, account, key, key)
        yield built
        built.close()


def calls(house: House) -> int:
    log = house.services.settings.home / "calls"
    return len(log.read_text().splitlines()) if log.exists() else 0


def knock(house: House, door: str, model: str = "english", **fields: Any) -> Any:
    """Ask at one of the doors: as a form where there is a file, else as JSON."""
    path, more = DOORS[door]
    asked = {"model": model, **more, **fields}
    headers = house.auth() | asked.pop("headers", {})
    if asked.pop("file", False):
        return house.post(path, data=asked, files={"file": ("talk.wav", recording()[0])}, headers=headers)
    return house.post(path, json=asked, headers=headers)


def traces(house: House) -> dict[str, Any]:
    """What a request could leave: rows, objects, files, movements of money, a provider's log."""
    with house.services.database.read() as session:
        rows = {table.__name__: session.query(table).count() for table in (Job, Media, OpenHold, OpenMinutes, Receipt)}
    entries = house.services.ledger.entries(house.account_id)
    return rows | {"files": house.files(), "stored": house.stored(), "money": len(entries), "calls": calls(house)}


def wrong(answer: Any) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("param", ["language", "languages"])
def test_what_nobody_hears_is_refused_without_a_trace(house: House, door: str, param: str) -> None:
    before = traces(house)
    refused = knock(house, door, **{param: "de-AT"})
    assert wrong(refused) == (400, "unsupported_language", param)
    told = "The model `english` does not hear German (`de`) as it is served here. It hears only en."
    assert refused.json()["error"]["message"] == told
    no_language = knock(house, door, **{param: "klingon"})
    assert wrong(no_language) == (400, "unsupported_language", param)
    assert "ISO 639-1" in no_language.json()["error"]["message"]
    assert wrong(knock(house, door, model="whisper-1", **{param: "de"})) == (400, "unsupported_language", param)
    assert wrong(knock(house, door, model="both", **{param: "fr"})) == (400, "unsupported_language", param)
    assert traces(house) == before


@pytest.mark.parametrize("door", ["transcription later", "job", "job of translation"])
def test_an_upload_is_not_taken_when_its_fields_stand_before_it(
    house: House, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    begin = house.services.media.begin
    monkeypatch.setattr(
        house.services.media, "begin", lambda *given, **more: begun.append(given[1]) or begin(*given, **more)
    )
    for language in ("de", "klingon"):
        assert wrong(knock(house, door, language=language)) == (400, "unsupported_language", "language")
    assert knock(house, door, model="nothing", language="en").status_code == 404
    assert begun == []
    for language in ("auto", "null", "", "en"):
        assert knock(house, door, language=language).status_code == 202
    assert len(begun) == 4


def test_fields_behind_the_file_are_heard_as_well(house: House) -> None:
    before = traces(house)
    form = [("file", ("talk.wav", recording()[0])), ("model", (None, "english")), ("language", (None, "de"))]
    for path in (HEAR, JOBS, ESTIMATES):
        assert wrong(house.post(path, files=form)) == (400, "unsupported_language", "language")
    assert traces(house) == before


@pytest.mark.processes
@pytest.mark.parametrize("door", ["transcription", "translation", "estimate", "estimate by length"])
@pytest.mark.parametrize("language", ["auto", "AUTO", "", "en", "en-GB", "English", "eng"])
def test_auto_empty_and_every_spelling_of_what_is_heard(house: House, door: str, language: str) -> None:
    def told(**fields: str) -> Any:
        answer = knock(house, door, **fields)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        body.pop("perf", None)
        body.pop("balance", None)
        return body

    assert told(language=language) == told(languages=language) == told()


@pytest.mark.processes
@pytest.mark.parametrize("language", ["auto", "", None])
def test_a_job_without_a_language_remembers_none(house: House, language: str | None) -> None:
    given = {"model": "english", "url": "http://127.0.0.1:9/talk.wav"}
    said = house.post(JOBS, json={**given, "language": language}).json()
    assert said["request"] == house.post(JOBS, json=given).json()["request"]
    job = house.submit(model="english", language=language or "")
    house.work()
    done = house.get(f"{JOBS}/{job['id']}").json()
    assert (done["status"], done["language"], "language" in done["request"]) == ("completed", "en", False)


@pytest.mark.processes
@pytest.mark.parametrize(("language", "who"), [("en", "first"), ("de", "second"), ("", "first")])
def test_a_route_that_does_not_hear_it_is_passed_over(house: House, language: str, who: str) -> None:
    for door in ("transcription", "translation", "job"):
        before = calls(house)
        answer = knock(house, door, model="both", language=language)
        assert answer.status_code in (200, 202), answer.text
        house.work()
        assert (calls(house) > before) == (who == "first"), door


@pytest.mark.processes
def test_the_text_of_a_translation_is_not_in_the_language_that_was_spoken(house: House) -> None:
    job = house.submit(model="both", language="de", task="translation")
    house.work()
    done = house.get(f"{JOBS}/{job['id']}").json()
    assert (done["status"], done["language"], done["request"]["language"]) == ("completed", "en", "de")
    assert 'xml:lang="en"' in knock(house, "translation", model="both", language="de", response_format="ttml").text


@pytest.mark.processes
def test_a_job_made_before_the_catalog_changed_fails_and_costs_nothing(house: House) -> None:
    job = house.submit(model="english", language="en")
    with house.services.database.write() as session:
        row = session.get(Job, job["id"])
        assert row
        row.request = {**row.request, "language": "de"}
    before = calls(house)
    house.work()
    done = house.get(f"{JOBS}/{job['id']}").json()
    assert (done["status"], done["error"]["code"]) == ("failed", "unsupported_language")
    kinds = [entry.kind for entry in house.services.ledger.entries(house.account_id)]
    assert ("capture" in kinds, "release" in kinds, calls(house)) == (False, True, before)


def test_models_show_the_languages_of_who_serves(house: House) -> None:
    def shown(model: str) -> Any:
        return house.get(f"/v1/models/{model}").json()["languages"]

    assert shown("whisper-1") == shown("gpt-4o-transcribe") == shown("english") == ["en"]
    assert shown("both") == ["en", "de"]
    assert shown("oracle") == []
