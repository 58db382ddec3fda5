"""/v1/webhook_endpoints in OpenAI's shapes."""

import threading
from collections import Counter
from typing import Any

import pytest

from infra.webhooks.retry_schedule import Verdict
from infra.webhooks.store import Outcome
from tests.api.conftest import JOBS, House
from tests.support.waiting import wait_until
from workers.steps.deliver import deliver

ENDPOINTS = "/v1/webhook_endpoints"
WANTED = {"name": "mine", "url": "http://127.0.0.1:9/hook", "event_types": ["audio.job.completed"]}


def made(house: House, **changes: Any) -> dict[str, Any]:
    answer = house.post(ENDPOINTS, json={**WANTED, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_endpoints_life(house: House) -> None:
    endpoint = made(house)
    assert endpoint["id"].startswith("whe_")
    assert endpoint["object"] == "webhook_endpoint"
    assert endpoint["signing_secret"].startswith("whsec_")
    path = f"{ENDPOINTS}/{endpoint['id']}"
    shown = house.get(path).json()
    assert "signing_secret" not in shown
    assert endpoint["signing_secret"][6:-4] not in shown["signing_secret_hint"]
    changed = house.post(path, json={"name": "yours", "event_types": ["audio.job.failed", "audio.job.failed"]}).json()
    assert (changed["name"], changed["event_types"], changed["url"]) == ("yours", ["audio.job.failed"], WANTED["url"])
    rotated = house.post(f"{path}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True}).json()
    assert rotated["signing_secret"] != endpoint["signing_secret"]
    no_body = house.post(f"{path}/rotate_secret", headers=house.auth() | {"Content-Type": "application/json"})
    assert no_body.status_code == 200, "SDKs say JSON and send nothing"
    assert house.delete(path).json() == {"id": endpoint["id"], "deleted": True, "object": "webhook_endpoint.deleted"}
    assert house.get(path).status_code == 404


def test_lists_are_paged_newest_first(house: House) -> None:
    ids = [made(house, name=str(n))["id"] for n in range(3)]
    page = house.get(f"{ENDPOINTS}?limit=2").json()
    assert [one["id"] for one in page["data"]] == ids[:0:-1]
    assert page["has_more"]
    rest = house.get(f"{ENDPOINTS}?limit=2&after={page['last_id']}").json()
    assert [one["id"] for one in rest["data"]] == ids[:1]
    assert not rest["has_more"]
    assert all("signing_secret" not in one for one in page["data"])


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://10.0.0.1/"},
        {"url": "http://169.254.169.254/"},
        {"url": "ftp://example.org/"},
        {"url": ""},
        {"url": None},
        {"event_types": []},
        {"event_types": ["audio.job.danced"]},
        {"event_types": "audio.job.completed"},
        {"name": None},
    ],
    ids=str,
)
def test_bad_endpoints_are_refused(house: House, changes: dict[str, Any]) -> None:
    answer = house.post(ENDPOINTS, json={**WANTED, **changes})
    assert answer.status_code == 400, answer.text
    (name,) = changes
    assert answer.json()["error"]["param"].startswith(name)
    assert house.get(ENDPOINTS).json()["data"] == []


def test_a_test_event_is_sent_and_told_of(house: House) -> None:
    endpoint = made(house)
    store = house.services.webhooks
    house.deliver()  # other tests' accounts are in the same house, and the claim might choose theirs
    before = set(store.due())

    def sender() -> None:
        (message_id,) = wait_until(lambda: set(store.due()) - before)
        deliver(house.bench(), message_id)

    worker = threading.Thread(target=sender)
    worker.start()
    answer = house.post(f"{ENDPOINTS}/{endpoint['id']}/test", json={"event_type": "webhook.test"}).json()
    worker.join()
    assert answer["object"] == "webhook_endpoint.test"
    assert (answer["event_type"], answer["webhook_endpoint_id"]) == ("webhook.test", endpoint["id"])
    assert answer["success"] is False, "nobody listens on port 9"
    (delivery,) = house.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries").json()["data"]
    assert (delivery["id"], delivery["type"]) == (answer["delivery_id"], "webhook.test")


def test_a_test_event_is_told_of_when_it_was_answered_not_when_it_was_begun(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = made(house)
    store = house.services.webhooks
    house.deliver()  # other tests' accounts are in the same house, and the claim might choose theirs
    before, looks, look = set(store.due()), Counter[str](), store.message

    def counted(*asked: str) -> Any:
        looks["looks"] += 1
        return look(*asked)

    monkeypatch.setattr(store, "message", counted)

    def slow_sender() -> None:
        (message_id,) = wait_until(lambda: set(store.due()) - before)
        delivery = store.claim(message_id)
        assert delivery is not None
        seen = looks["looks"]
        wait_until(lambda: looks["looks"] > seen + 1)  # with the attempt under way
        store.record(delivery, Outcome(status_code=204, duration_ms=1000), Verdict(True, None))

    worker = threading.Thread(target=slow_sender)
    worker.start()
    answer = house.post(f"{ENDPOINTS}/{endpoint['id']}/test").json()
    worker.join()
    assert (answer["status_code"], answer["success"]) == (204, True)


@pytest.mark.processes
def test_a_delivery_is_replayed_with_its_id(house: House) -> None:
    endpoint = made(house)
    house.submit()
    house.work()
    house.deliver()
    path = f"{ENDPOINTS}/{endpoint['id']}/deliveries"
    (delivery,) = house.get(path).json()["data"]
    replayed = house.post(f"{path}/{delivery['id']}/replay")
    assert replayed.status_code == 202
    assert replayed.json()["id"] == delivery["id"]
    house.deliver()
    (again,) = house.get(path).json()["data"]
    assert len(again["attempts"]) == 2
    assert house.post(f"{path}/evt_unknown/replay").status_code == 404


def test_the_event_types(house: House) -> None:
    body = house.get("/v1/webhook_event_types").json()
    assert body["object"] == "list"
    assert "audio.job.completed" in body["data"]


def test_a_disabled_endpoint_can_be_revived(house: House) -> None:
    path = f"{ENDPOINTS}/{made(house)['id']}"
    assert house.post(path, json={"status": "disabled"}).json()["status"] == "disabled"
    assert house.post(path, json={"status": "active"}).json()["status"] == "active"
    assert house.post(path, json={"status": "asleep"}).status_code == 400


def test_jobs_of_others_do_not_come_here(house: House) -> None:
    endpoint = made(house)
    assert house.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries").json()["data"] == []
    assert house.get(JOBS).status_code == 200


def test_making_an_endpoint_twice_with_one_key_makes_one(house: House) -> None:
    again = house.auth() | {"Idempotency-Key": "endpoint-1"}
    first = house.post(ENDPOINTS, json=WANTED, headers=again)
    second = house.post(ENDPOINTS, json=WANTED, headers=again)
    other = house.post(ENDPOINTS, json={**WANTED, "name": "other"}, headers=again)
    assert second.json() == first.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert other.status_code == 409
    assert len(house.get(ENDPOINTS).json()["data"]) == 1
    house.delete(f"{ENDPOINTS}/{first.json()['id']}")
    assert house.post(ENDPOINTS, json=WANTED, headers=again).json()["id"] != first.json()["id"]
