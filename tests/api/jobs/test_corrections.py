"""A transcript is corrected as revisions: the original stays, exports say which they are, and nobody's correction is lost."""

from typing import Any

import pytest

from infra.database.tables.jobs import TranscriptRevision
from tests.api.conftest import JOBS, House, recording
from tests.support.retention import purge

pytestmark = pytest.mark.processes
SOUND, SAID = recording(3.0)


@pytest.fixture
def job(house: House) -> str:
    """A finished one's id."""
    made = house.submit(SOUND)
    house.work()
    return made["id"]


def transcript(house: House, job: str, **query: Any) -> Any:
    return house.get(f"{JOBS}/{job}/transcript", params=query)


def correct(house: House, job: str, seen: str | None, **edit: Any) -> Any:
    headers = house.auth() | ({} if seen is None else {"If-Match": seen})
    return house.client.patch(f"{JOBS}/{job}/transcript", headers=headers, json=edit)


def word(number: int, text: str) -> dict[str, Any]:
    return {"segment": 0, "word": number, "text": text}


def test_the_original_stays(house: House, job: str) -> None:
    original = transcript(house, job)
    assert (original.headers["etag"], original.headers["x-transcript-revision"]) == ('"0"', "0")
    made = correct(house, job, original.headers["etag"], changes=[word(0, "hullo")])
    assert (made.status_code, made.json()["revision"], made.headers["etag"]) == (201, 1, '"1"')
    assert transcript(house, job).json() == original.json()
    assert transcript(house, job, revision=0).json() == original.json()
    latest = transcript(house, job, revision="latest").json()
    assert latest["text"].split()[:2] == ["hullo", original.json()["text"].split()[1]]
    assert latest["revision"] == 1
    assert transcript(house, job, revision=2).status_code == 404
    assert transcript(house, job, revision="newest").status_code == 400


def test_every_export_says_which_it_is(house: House, job: str) -> None:
    correct(house, job, '"0"', changes=[word(0, "hullo")])
    for name in ("json", "verbose_json", "text", "srt", "vtt", "ttml", "full_json"):
        got = transcript(house, job, format=name, revision="latest")
        assert "hullo" in got.text
        assert got.headers["x-transcript-revision"] == "1"
        assert ".r1." in got.headers["content-disposition"]
        assert (name in ("srt", "text")) or ("revision" in got.text), name
        assert "hullo" not in transcript(house, job, format=name).text


def test_nobodys_correction_is_overwritten_unseen(house: House, job: str) -> None:
    assert correct(house, job, '"0"', changes=[word(0, "hullo")]).status_code == 201
    for seen in ('"0"', None, "nonsense"):
        late = correct(house, job, seen, changes=[word(0, "hallo")])
        assert late.status_code == 409
        error = late.json()["error"]
        assert (error["code"], error["current_revision"]) == ("revision_conflict", 1)
        assert error["current"][0]["text"].startswith("hullo")
        assert error["yours"] == {"changes": [word(0, "hallo")]}
    assert correct(house, job, 'W/"1"', changes=[word(0, "hallo")]).json()["revision"] == 2


def test_two_who_write_at_once(house: House, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one has looked before the first has written."""
    revisions = house.services.revisions
    monkeypatch.setattr(revisions, "latest", lambda _job_id: None)
    correct(house, job, '"0"', changes=[word(0, "hullo")])
    stored = house.stored()
    late = correct(house, job, '"0"', changes=[word(0, "hallo")])
    assert (late.status_code, late.json()["error"]["code"]) == (409, "revision_conflict")
    assert house.stored() == stored


def test_as_it_was_before(house: House, job: str) -> None:
    before = transcript(house, job).json()["text"]
    correct(house, job, '"0"', changes=[word(0, "hullo")])
    correct(house, job, '"1"', changes=[word(1, "there")])
    correct(house, job, '"2"', restore=1)
    correct(house, job, '"3"', restore=0)
    texts = [transcript(house, job, revision=number).json()["text"] for number in range(5)]
    assert texts[0] == texts[4] == before
    assert texts[1] == texts[3] != texts[2]
    listed = house.get(f"{JOBS}/{job}/transcript/revisions").json()
    assert [one["revision"] for one in listed["data"]] == [1, 2, 3, 4]
    assert correct(house, job, '"4"', restore=9).status_code == 404


def test_segments_search_and_outline_as_corrected(house: House, job: str) -> None:
    correct(house, job, '"0"', changes=[word(0, "zebra")])
    read = house.get(f"{JOBS}/{job}/segments", params={"q": "zebra", "revision": "latest"}).json()["data"]
    assert [match["text"] for match in read[0]["matches"]] == ["zebra"]
    assert not house.get(f"{JOBS}/{job}/segments", params={"q": "zebra"}).json()["data"]
    outline = house.get(f"{JOBS}/{job}/transcript/outline", params={"revision": "latest"}).json()
    assert (outline["revision"], sum(outline["words"]), outline["starts"][0]) == (1, len(SAID), read[0]["start"])


def test_narrow_captions_violate_more(house: House, job: str) -> None:
    path = f"{JOBS}/{job}/transcript/violations"
    usual = house.get(path).json()
    narrow = house.get(path, params={"max_line_chars": 10, "max_lines": 1, "chars_per_second": 5}).json()
    assert usual["violations"] == sum(usual["by_rule"].values()) < narrow["violations"]


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"changes": [{"segment": 0}]},
        {"changes": [word(0, "x")], "restore": 0},
        {"changes": [{"segment": 10_000, "text": "x"}]},
        {"changes": [word(10_000, "x")]},
        {"changes": [{"segment": 0, "text": "x" * 20_001}]},
        {"speakers": {"A": " "}},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense(house: House, job: str, edit: dict[str, Any]) -> None:
    refused = correct(house, job, '"0"', **edit)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request")
    assert transcript(house, job, revision="latest").headers["x-transcript-revision"] == "0"


def test_they_go_with_the_transcript(house: House, job: str) -> None:
    correct(house, job, '"0"', changes=[word(0, "hullo")])
    purge(house.services.database, house.services.jobs, job)
    assert transcript(house, job, revision="latest").status_code == 410
    assert correct(house, job, '"1"', changes=[word(0, "x")]).status_code == 410
    with house.services.database.read() as session:
        assert session.get(TranscriptRevision, (job, 1)) is None


def test_deleted_with_its_job(house: House, job: str) -> None:
    correct(house, job, '"0"', changes=[word(0, "hullo")])
    assert house.delete(f"{JOBS}/{job}").is_success
    assert not [key for key in house.stored() if job in key]
    with house.services.database.read() as session:
        assert session.get(TranscriptRevision, (job, 1)) is None


def test_a_job_that_is_not_done_or_not_mine(house: House, job: str) -> None:
    waiting = house.submit(SOUND)
    assert correct(house, waiting["id"], '"0"', changes=[word(0, "x")]).status_code == 409
    headers = house.auth(house.other_key) | {"If-Match": '"0"'}
    edit = {"changes": [word(0, "x")]}
    assert house.client.patch(f"{JOBS}/{job}/transcript", headers=headers, json=edit).status_code == 404
