"""A link to a job's result: opens without a key, for that format of that job, until it expires or is revoked."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.keys.accounts import SUSPENDED
from infra.links import job_links
from infra.webhooks.delivery_queue import Which
from tests.api.conftest import JOBS, House, recording
from tests.support.retention import purge

SOUND, SAID = recording(3.0, seed=4)


@pytest.fixture
def job(house: House) -> dict[str, Any]:
    made = house.submit(SOUND, response_format="srt")
    house.work()
    return made


def link(house: House, job: dict[str, Any], **asked: Any) -> dict[str, Any]:
    answer = house.post(f"{JOBS}/{job['id']}/links", json=asked)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def opened(house: House, url: str) -> Any:
    return house.client.get(url)


def expire(house: House, job: dict[str, Any]) -> None:
    """Its links end now."""
    with house.services.database.write() as session:
        row = session.get_one(Job, job["id"])
        row.links = [one | {"expires_at": 1.0} for one in row.links or ()]


def test_it_opens_without_a_key_in_its_format(house: House, job: dict[str, Any]) -> None:
    made = link(house, job, format="vtt", expires_in=60)
    assert (made["object"], made["job_id"], made["format"]) == ("audio.job.link", job["id"], "vtt")
    assert made["url"].startswith("http://testserver/v1/audio/jobs/")
    answer = opened(house, made["url"])
    assert answer.text.startswith("WEBVTT")
    assert SAID[0] in answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    assert 'filename="talk.vtt"' in answer.headers["content-disposition"]
    assert opened(house, made["url"] + "&format=json").text == answer.text


def test_unless_told_otherwise_as_the_job_was_asked_for_and_for_a_day(house: House, job: dict[str, Any]) -> None:
    made = link(house, job)
    assert made["format"] == "srt"
    shown = house.services.jobs.get(house.account_id, job["id"])
    assert shown.links is not None
    assert opened(house, made["url"]).text.startswith("1\n00:00:0")
    kept = json.dumps(shown.links)
    assert made["url"].rpartition("=")[2] not in kept


def test_the_sound_has_links_too(house: House, job: dict[str, Any]) -> None:
    assert opened(house, link(house, job, format="audio")["url"]).content == SOUND
    spoken = house.post(JOBS, json={"task": "speech", "model": "oracle", "text": "alpha", "response_format": "wav"})
    house.work()
    made = link(house, spoken.json())
    assert (made["format"], opened(house, made["url"]).content[:4]) == ("audio", b"RIFF")


def altered(text: str) -> Iterator[str]:
    """One character other than it was, wherever it stands."""
    for at, char in enumerate(text):
        yield text[:at] + ("A" if char != "A" else "B") + text[at + 1 :]


def test_altered_by_one_character_it_is_unknown(house: House, job: dict[str, Any]) -> None:
    url = link(house, job)["url"]
    place, rest = url.split("/links/")
    assert {opened(house, f"{place}/links/{wrong}").status_code for wrong in altered(rest)} == {404}
    head, job_id = place.rsplit("/", 1)
    assert {opened(house, f"{head}/{wrong}/links/{rest}").status_code for wrong in altered(job_id)} == {404}
    assert opened(house, url[:-1]).status_code == 404
    assert opened(house, url + "A").status_code == 404
    assert opened(house, url.partition("?")[0]).status_code == 404
    assert opened(house, url).status_code == 200


def test_it_opens_nothing_else(house: House, job: dict[str, Any]) -> None:
    other = house.submit(recording(1.0, seed=6)[0])
    house.work()
    url = link(house, job)["url"]
    link(house, other)
    assert opened(house, url.replace(job["id"], other["id"])).status_code == 404
    for path in (f"{JOBS}/{job['id']}", f"{JOBS}/{job['id']}/transcript", f"{JOBS}/{job['id']}/links"):
        assert opened(house, f"{path}?{url.partition('?')[2]}").status_code in (401, 405)
    assert house.client.delete(url).status_code == 401
    assert house.client.post(url).status_code == 401


def test_until_it_expires(house: House, job: dict[str, Any]) -> None:
    url = link(house, job, expires_in=60)["url"]
    expire(house, job)
    answer = opened(house, url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "expired")
    assert opened(house, url[:-1] + ("A" if url[-1] != "A" else "B")).status_code == 404


def test_until_it_is_revoked(house: House, job: dict[str, Any]) -> None:
    made, other = link(house, job), link(house, job)
    path = f"{JOBS}/{job['id']}/links/{made['id']}"
    assert house.delete(path, headers=house.auth(house.other_key)).status_code == 404
    assert house.delete(path).json() == {"id": made["id"], "object": "audio.job.link", "deleted": True}
    assert opened(house, made["url"]).status_code == 404
    assert opened(house, other["url"]).status_code == 200
    assert house.delete(path).status_code == 404


def test_until_the_job_is_gone(house: House, job: dict[str, Any]) -> None:
    url = link(house, job)["url"]
    purge(house.services.database, house.services.jobs, job["id"])
    assert opened(house, url).status_code == 404
    assert house.post(f"{JOBS}/{job['id']}/links", json={}).status_code == 410
    assert house.delete(f"{JOBS}/{job['id']}").status_code == 200
    assert opened(house, url).status_code == 404


def test_a_suspended_accounts_links_open_nothing(house: House, job: dict[str, Any]) -> None:
    url = link(house, job)["url"]
    house.services.accounts.update(house.account_id, status=SUSPENDED)
    assert opened(house, url).status_code == 404


def test_before_the_end_it_says_what_the_job_is_doing(house: House) -> None:
    made = house.submit(SOUND)
    answer = opened(house, link(house, made)["url"])
    assert (answer.status_code, answer.json()["error"]["current_status"]) == (409, "queued")


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"format": "docx"}, None), ({"expires_in": 0}, "expires_in"), ({"expires_in": 10**9}, "expires_in")],
)
def test_what_no_link_can_be(house: House, job: dict[str, Any], asked: Any, param: str | None) -> None:
    answer = house.post(f"{JOBS}/{job['id']}/links", json=asked)
    assert answer.status_code == 400
    assert param is None or answer.json()["error"]["param"] == param


def test_a_key_that_may_read_may_make_and_revoke_them(house: House, job: dict[str, Any]) -> None:
    reads, _ = house.services.accounts.create_key(house.account_id, scopes=["jobs:read"])
    writes, _ = house.services.accounts.create_key(house.account_id, scopes=["jobs:write"])
    path = f"{JOBS}/{job['id']}/links"
    made = house.post(path, json={}, headers=house.auth(reads))
    assert made.status_code == 201
    assert house.post(path, json={}, headers=house.auth(writes)).status_code == 403
    assert house.delete(f"{path}/{made.json()['id']}", headers=house.auth(reads)).status_code == 200


def test_a_job_has_so_many_and_those_that_expired_do_not_count(
    house: House, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_links, "MOST_LINKS", 2)
    first, _ = link(house, job), link(house, job)
    refused = house.post(f"{JOBS}/{job['id']}/links", json={})
    assert (refused.status_code, refused.json()["error"]["limit"]) == (429, 2)
    expire(house, job)
    link(house, job)
    assert opened(house, first["url"]).status_code == 404


def body_of(house: House, job: dict[str, Any]) -> dict[str, Any]:
    found, _ = house.services.webhooks.messages(house.account_id, Which(job_id=job["id"]))
    (message,) = [one for one, _ in found if one.target == "job"]
    return dict(json.loads(message.body)["data"])


def test_a_webhook_names_such_a_link_on_request(house: House) -> None:
    hook = {"webhook[url]": "http://127.0.0.1:9/hook", "webhook[link][format]": "text"}
    made = house.submit(SOUND, **hook, **{"webhook[link][expires_in]": "600"})
    house.work()
    told = body_of(house, made)
    assert opened(house, told["transcript_url"]).text.strip() == " ".join(SAID)
    plain = house.submit(SOUND, **{"webhook[url]": "http://127.0.0.1:9/hook"})
    house.work()
    assert body_of(house, plain)["transcript_url"] == f"{JOBS}/{plain['id']}/transcript"


def test_the_endpoints_of_the_account_get_no_such_link(house: House) -> None:
    wanted = {"name": "n", "url": "http://127.0.0.1:9/all", "event_types": ["audio.job.completed"]}
    assert house.post("/v1/webhook_endpoints", json=wanted).is_success
    made = house.submit(SOUND, **{"webhook[url]": "http://127.0.0.1:9/hook", "webhook[link][format]": "text"})
    house.work()
    found, _ = house.services.webhooks.messages(house.account_id, Which(job_id=made["id"]))
    urls = {one.target == "job": json.loads(one.body)["data"]["transcript_url"] for one, _ in found}
    assert (urls[False], "signature" in urls[True]) == (f"{JOBS}/{made['id']}/transcript", True)


def test_speech_has_its_sound_there(house: House) -> None:
    asked = {"task": "speech", "model": "oracle", "text": "alpha", "response_format": "wav"}
    made = house.post(JOBS, json=asked | {"webhook": {"url": "http://127.0.0.1:9/hook", "link": {}}}).json()
    house.work()
    assert opened(house, body_of(house, made)["audio_url"]).content[:4] == b"RIFF"


def test_links_of_before_are_none(house: House, job: dict[str, Any]) -> None:
    """A row that a process of the version before has written."""
    with house.services.database.write() as session:
        session.execute(update(Job).where(col(Job.id) == job["id"]).values(links=None, ignored=None, webhook_link=None))
    assert house.get(f"{JOBS}/{job['id']}").json()["ignored"] == []
    assert opened(house, f"{JOBS}/{job['id']}/links/link_1?signature=x").status_code == 404
