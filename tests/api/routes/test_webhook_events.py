"""GET /v1/webhook_events: the account's events as they happen."""

import json
from collections.abc import Iterator

import httpx2
import pytest

from api.main import create_app
from api.routes.account import webhook_events
from cli.event_stream import ServerEvent, read_events
from tests.api.conftest import House
from tests.api.serving import Running, running

URL = "/v1/webhook_events"


@pytest.fixture
def served(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(webhook_events, "LOOK_SECONDS", 0.02)
    with running(create_app(house.services)) as place:
        yield place


def ended(house: House) -> str:
    job = house.submit()["id"]
    house.post(f"/v1/audio/jobs/{job}/cancel")
    return job


def about(event: ServerEvent) -> str:
    return str(json.loads(event.data)["data"]["id"])


def test_events_come_as_they_happen_and_what_was_missed_comes_later(house: House, served: Running) -> None:
    headers, missed = house.auth(), []
    with httpx2.stream("GET", f"{served.url}{URL}?stream=true", headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        following = read_events(answer.iter_lines())
        hello = next(following)
        listener = json.loads(hello.data)["id"]
        assert (hello.name, json.loads(hello.data)["object"]) == ("listening", "webhook_listener")
        for _ in range(2):
            job = ended(house)
            event = next(following)
            assert (event.name, about(event)) == ("audio.job.cancelled", job)
            assert json.loads(event.data)["id"] == event.id
    missed.append(ended(house))
    asked = {"listener": listener, "stream": "true"}
    with httpx2.stream("GET", f"{served.url}{URL}", params=asked, headers=headers, timeout=60) as answer:
        following = read_events(answer.iter_lines())
        assert json.loads(next(following).data)["id"] == listener
        assert [about(next(following))] == missed
    assert house.get("/v1/webhook_endpoints").json()["data"] == []


def test_only_the_types_that_were_asked_for(house: House, served: Running) -> None:
    asked = {"events": "audio.job.failed, audio.job.processing", "stream": "true"}
    with httpx2.stream("GET", f"{served.url}{URL}", params=asked, headers=house.auth(), timeout=60) as answer:
        following = read_events(answer.iter_lines())
        next(following)
        ended(house)
        job = house.submit()["id"]
        house.claim(job)
        event = next(following)
        assert (event.name, about(event)) == ("audio.job.processing", job)
    assert house.get(f"{URL}?stream=true&events=audio.job.danced").status_code == 400


def test_a_revoked_key_hears_no_more(house: House, served: Running) -> None:
    key, row = house.services.accounts.create_key(house.account_id)
    url = f"{served.url}{URL}?stream=true"
    with httpx2.stream("GET", url, headers=house.auth(key), timeout=60) as answer:
        following = read_events(answer.iter_lines())
        next(following)
        house.services.accounts.revoke_key(row.id)
        ended(house)
        assert list(following) == []
    assert httpx2.get(url, headers=house.auth(key), timeout=60).status_code == 401


def test_it_is_a_stream_and_says_so(house: House) -> None:
    refused = house.get(URL)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")
