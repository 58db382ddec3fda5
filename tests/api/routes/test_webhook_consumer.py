"""A consumer that is away for a day, loses its secret, rotates it and moves gets every event, and nothing goes where it was."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import update
from sqlmodel import col
from standardwebhooks import Webhook

from infra.database.tables.webhooks import WebhookMessage
from tests.api.conftest import House
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes
ENDPOINTS = "/v1/webhook_endpoints"


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def verified(got: list[tuple[dict[str, str], bytes]], secret: str) -> list[dict[str, Any]]:
    """What has come, each accepted by both libraries."""
    with OpenAI(api_key="x", webhook_secret=secret) as client:
        for headers, body in got:
            client.webhooks.verify_signature(body, headers)
    return [Webhook(secret).verify(body, headers) for headers, body in got]


def everything_is_due(house: House) -> None:
    now = {"next_attempt_at": 1.0, "dispatched_at": None}
    mine = (col(WebhookMessage.account_id) == house.account_id, col(WebhookMessage.status) == "pending")
    with house.services.database.write() as session:
        session.execute(update(WebhookMessage).where(*mine).values(**now))


def ended(house: House) -> str:
    """A job that was cancelled, which is an event as well."""
    job = house.submit()["id"]
    assert house.post(f"/v1/audio/jobs/{job}/cancel").status_code == 200
    return job


def all_delivered(house: House, path: str) -> None:
    """Nothing waits for the endpoint any more."""
    wait_until(lambda: house.deliver() or not house.get(path).json()["pending"])


def test_all_of_it(house: House, site: Receiver) -> None:
    wanted = {"name": "mine", "url": f"{site.url}/old", "event_types": ["audio.job.cancelled"]}
    endpoint = house.post(ENDPOINTS, json=wanted | {"headers": {"Authorization": "Bearer mine"}}).json()
    path, jobs = f"{ENDPOINTS}/{endpoint['id']}", [ended(house)]
    all_delivered(house, path)
    assert [one["data"]["id"] for one in verified(site.got, endpoint["signing_secret"])] == jobs
    assert site.got[0][0]["authorization"] == "Bearer mine"

    site.answers = [503] * 9  # it is away
    jobs += [ended(house), ended(house)]
    wait_until(lambda: house.deliver() or len(site.got) >= 3)
    assert house.get(path).json()["pending"] == 2
    site.got.clear()
    with receiving() as moved:
        rotated = house.post(f"{path}/rotate_secret").json()  # its secret is lost, and it comes back elsewhere
        house.post(path, json={"url": f"{moved.url}/new"})
        everything_is_due(house)
        jobs.append(ended(house))
        all_delivered(house, path)
        assert {one["data"]["id"] for one in verified(moved.got, rotated["signing_secret"])} == set(jobs[1:])
        assert all("authorization" not in headers for headers, _ in moved.got), "another server"

        newer = house.post(f"{path}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True}).json()
        moved.got.clear()
        assert house.post(f"{path}/replay", json={"since": endpoint["created_at"]}).json()["replayed"] == len(jobs)
        all_delivered(house, path)
        for secret in (newer["signing_secret"], rotated["signing_secret"]):
            events = verified(moved.got, secret)
            assert [one["data"]["id"] for one in sorted(events, key=lambda one: (one["created_at"], one["id"]))] == jobs

        moved.got.clear()
        house.test_event(endpoint["id"])
        all_delivered(house, path)
        assert verified(moved.got, newer["signing_secret"])[0]["data"]["test"] is True
    assert site.got == [], "nothing goes where it was"
    assert house.get(path).json()["pending"] == 0
    statuses = {one["status"] for one in house.get(f"{path}/deliveries").json()["data"]}
    assert statuses == {"delivered"}
