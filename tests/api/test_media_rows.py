"""Recordings as people really have them, at once and as jobs, by upload and by URL: every word once, at the time at which a player
plays it, and whatever is left out is told, alike everywhere, and not paid for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import JOBS, House
from tests.support.media_rows import clocks, damage, gate, joined, layers
from tests.support.media_rows.material import Row, Said
from tests.support.receiver import Receiver, receiving

pytestmark = pytest.mark.processes

HEAR, ESTIMATE = "/v1/audio/transcriptions", "/v1/audio/estimates"
ROWS = tuple(chain(joined.rows(), clocks.rows(), layers.rows(), damage.rows(), gate.rows()))
PRICE = 0.006 / 60  # of a second, as the catalog of these tests has it
MODEL = "oracle-priced"
TOLD = ("gaps", "warnings", "incomplete", "usage", "duration")
CLOSE = 0.02  # seconds


@pytest.fixture(scope="module")
def site() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_word_once_in_its_place_and_what_is_missing_told(
    house: House, site: Receiver, tmp_path: Path, row: Row
) -> None:
    data = row.make(tmp_path)
    site.files["/recording"] = data
    at_once, estimate = _heard_at_once(house, data, row), _estimated(house, data, row)
    job = _done(house, f"{site.url}/recording", row)
    later = house.get(f"{JOBS}/{job['id']}/transcript?format=verbose_json&timestamp_granularities=word").json()
    for body in (at_once, later):
        _check_words(body, row)
        _check_told(body, row)
    assert {name: at_once.get(name) for name in TOLD} == {name: later.get(name) for name in TOLD}
    assert (job["incomplete"], job["partial"]) == (row.damaged, False)
    _check_seconds(at_once, job, estimate, row)


def test_an_uploaded_job_is_heard_as_a_fetched_one(house: House, site: Receiver, tmp_path: Path) -> None:
    """One row of each kind."""
    for row in {row.name.split()[0]: row for row in ROWS}.values():
        data = row.make(tmp_path)
        site.files["/recording"] = data
        uploaded = house.submit(data, model=MODEL, **row.fields)
        house.work()
        fetched = _done(house, f"{site.url}/recording", row)
        same = [house.get(f"{JOBS}/{one['id']}/transcript?format=verbose_json").json() for one in (uploaded, fetched)]
        assert same[0]["segments"] == same[1]["segments"], row.name
        assert {name: same[0].get(name) for name in TOLD} == {name: same[1].get(name) for name in TOLD}


def _heard_at_once(house: House, data: bytes, row: Row) -> dict[str, Any]:
    fields = {"model": MODEL, "response_format": "verbose_json", "timestamp_granularities[]": "word", **row.fields}
    answer = house.post(HEAR, data=fields, files={"file": ("recording", data)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _estimated(house: House, data: bytes, row: Row) -> dict[str, Any]:
    answer = house.post(ESTIMATE, data={"model": MODEL, **row.fields}, files={"file": ("recording", data)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _done(house: House, url: str, row: Row) -> dict[str, Any]:
    answer = house.post(JOBS, json={"model": MODEL, "url": url, **row.fields})
    assert answer.status_code == 202, answer.text
    house.work()
    job: dict[str, Any] = house.get(f"{JOBS}/{answer.json()['id']}").json()
    assert job["status"] == "completed", job["error"]
    return job


def _check_words(body: dict[str, Any], row: Row) -> None:
    heard = sorted((word["start"], word["word"]) for word in body["words"])
    expected = sorted((at, word) for word, at in (_left(row.said, body, row) if row.damaged else row.said))
    if row.damaged:  # a word may be heard in spite of it, or in part
        heard = [
            (at, word) for at, word in heard if any(word == other and abs(at - then) < 0.2 for then, other in expected)
        ]
    assert [word for _, word in heard] == [word for _, word in expected]
    for (at, word), (true, _) in zip(heard, expected, strict=True):
        assert -CLOSE <= at - true <= CLOSE + row.late / 1000, f"{word} at {at}, not {true}"


def _left(said: Said, body: dict[str, Any], row: Row) -> Said:
    """What is said outside of all that is told to be missing; a word lasts less than half a second."""
    missing = [(gap["start"], gap["end"]) for gap in body.get("gaps", [])]
    for warning in body.get("warnings", []):
        ends = float("inf") if warning["code"] == "truncated" else warning["end"]
        missing.append((warning["start"], ends))
    return tuple((word, at) for word, at in said if not any(at < end and begin < at + 0.5 for begin, end in missing))


def _check_told(body: dict[str, Any], row: Row) -> None:
    gaps, warnings = body.get("gaps", []), {warning["code"] for warning in body.get("warnings", [])}
    assert body.get("incomplete", False) is row.damaged
    assert row.warnings <= warnings and not any(gap["retryable"] for gap in gaps)
    if not row.damaged:
        assert warnings == row.warnings
        assert {gap["code"] for gap in gaps} <= {"hole"}
        slack = 0.15  # a packet of some frames, in which a cut may lie
        found = [(gap["start"], gap["end"]) for gap in gaps if gap.get("track", 1) == 1]
        assert found == [pytest.approx(gap, abs=slack) for gap in row.gaps]


def _check_seconds(at_once: dict[str, Any], job: dict[str, Any], estimate: dict[str, Any], row: Row) -> None:
    """What is told, what is billed and what was foretold are the seconds of sound that were decoded."""
    seconds = at_once["usage"]["seconds"]
    assert seconds == job["usage"]["seconds"] == at_once["perf"]["audio_duration_seconds"]
    if row.layers == 1:
        missing = sum(gap["end"] - gap["start"] for gap in at_once.get("gaps", []))
        assert at_once["duration"] - seconds == pytest.approx(missing, abs=0.002)
    assert estimate["duration_seconds"] == pytest.approx(seconds, rel=0.01)
    assert job["cost"]["captured"] == at_once["perf"]["cost_usd"] == pytest.approx(seconds * PRICE, rel=0.001, abs=1e-6)
    assert estimate["cost"]["estimated"] == pytest.approx(job["cost"]["captured"], rel=0.01)
