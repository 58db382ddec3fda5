"""/v1/webhook_endpoints in OpenAI's shapes."""

import json
import threading
from collections import Counter
from typing import Any

import pytest

from api.routes.account import webhooks
from api.schemas.event_samples import sample
from infra.database.tables.webhooks import WebhookEndpoint
from infra.webhooks.outbox import BATCH_EVENTS, BULK_EVENTS, JOB_EVENTS, ON_REQUEST, job_facts
from infra.webhooks.retry_schedule import Verdict
from infra.webhooks.store import Outcome
from tests.api.conftest import JOBS, House
from tests.support.waiting import wait_until
from tests.support.webhook_events import shift

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
        {"headers": {"Host": "example.org"}},
        {"headers": {"Webhook-Id": "mine"}},
        {"headers": {"X-Key": "a\r\nb: c"}},
        {"headers": {"X-Key": "a" * 9000}},
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
    with house.delivering():
        answer = house.post(f"{ENDPOINTS}/{endpoint['id']}/test", json={"event_type": "webhook.test"}).json()
    assert answer["object"] == "webhook_endpoint.test"
    assert (answer["event_type"], answer["webhook_endpoint_id"]) == ("webhook.test", endpoint["id"])
    assert (answer["success"], answer["error"]["code"]) == (False, "connection_refused"), "nobody listens on port 9"
    (delivery,) = house.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries").json()["data"]
    assert (delivery["id"], delivery["type"]) == (answer["delivery_id"], "webhook.test")
    assert (delivery["status"], delivery["next_attempt_at"]) == ("dropped", None), "it is tried once"


def test_a_test_that_nobody_makes_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PATIENCE", 0.0)
    answer = house.post(f"{ENDPOINTS}/{made(house)['id']}/test").json()
    assert (answer["success"], answer["status_code"], answer["error"]["code"]) == (False, None, "not_tried_yet")


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
    assert (answer["status_code"], answer["success"], answer["error"]) == (204, True, None)


@pytest.mark.parametrize("kind", [*JOB_EVENTS, *ON_REQUEST, *BATCH_EVENTS, *BULK_EVENTS])
def test_a_test_event_has_the_shape_of_a_real_one(house: House, kind: str) -> None:
    data = sample(kind)
    assert data is not None
    real = {"audio.job": house.submit()["id"]}.get(data["object"])
    if real is not None:
        job = house.services.jobs.get(house.account_id, real)
        assert set(data) - {"waiting"} == set(job_facts(job, ""))
    assert data["status"] == {"waiting": "processing"}.get(kind.rpartition(".")[2], kind.rpartition(".")[2])
    message = house.services.webhooks.send_test(house.account_id, made(house)["id"], kind, data)
    assert json.loads(message.body)["data"] == {**data, "test": True}


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
    replayed = house.post(f"{ENDPOINTS}/{endpoint['id']}/replay", json={"since": again["created_at"]})
    assert (replayed.status_code, replayed.json()["replayed"]) == (202, 1)
    assert house.get(f"{ENDPOINTS}/{endpoint['id']}").json()["pending"] == 1
    house.deliver()
    for query, found in (
        (f"since={again['created_at'] + 60}", 0),
        (f"until={again['created_at'] + 60}&job_id={again['job_id']}&status=pending", 1),
        ("job_id=job_other", 0),
        ("status=exhausted", 0),
    ):
        assert len(house.get(f"{path}?{query}").json()["data"]) == found, query
    assert house.get(f"{path}?status=lost").status_code == 400


@pytest.mark.parametrize(
    "body",
    [{}, {"since": -1}, {"since": 2, "until": 1}, {"since": 1, "status": "lost"}, {"since": "yesterday"}],
    ids=str,
)
def test_a_replay_needs_a_time_that_makes_sense(house: House, body: dict[str, Any]) -> None:
    assert house.post(f"{ENDPOINTS}/{made(house)['id']}/replay", json=body).status_code == 400


def test_nothing_is_replayed_to_a_disabled_endpoint(house: House) -> None:
    path = f"{ENDPOINTS}/{made(house)['id']}"
    house.post(path, json={"status": "disabled"})
    refused = house.post(f"{path}/replay", json={"since": 0})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "wrong_state")
    assert house.post(f"{ENDPOINTS}/whe_other/replay", json={"since": 0}).status_code == 404


@pytest.mark.processes
def test_a_jobs_own_webhook_is_replayed(house: House) -> None:
    job = house.submit(**{"webhook[url]": "http://127.0.0.1:9/hook"})
    assert (job["webhook"]["status"], job["webhook"]["attempts"]) == ("pending", 0)
    house.work()
    house.deliver()
    path = f"/v1/audio/jobs/{job['id']}/deliveries"
    webhook = house.get(f"/v1/audio/jobs/{job['id']}").json()["webhook"]
    assert (webhook["status"], webhook["attempts"], webhook["error"]["code"]) == ("pending", 1, "connection_refused")
    replayed = house.post(f"{path}/{webhook['delivery_id']}/replay")
    assert (replayed.status_code, replayed.json()["id"]) == (202, webhook["delivery_id"])
    house.deliver()
    (delivery,) = house.get(path).json()["data"]
    assert len(delivery["attempts"]) == 2
    assert house.get(f"{path}?status=exhausted").json()["data"] == []
    other = house.submit()["id"]
    assert house.post(f"/v1/audio/jobs/{other}/deliveries/{delivery['id']}/replay").status_code == 404


def test_own_headers_are_shown_by_their_names_alone(house: House) -> None:
    endpoint = made(house, headers={"Authorization": "Bearer canary", "X-Tenant": "canary"})
    path = f"{ENDPOINTS}/{endpoint['id']}"
    shown = [
        endpoint,
        house.get(path).json(),
        *house.get(ENDPOINTS).json()["data"],
        house.post(path, json={"name": "b"}).json(),
    ]
    assert [one["header_names"] for one in shown] == [["Authorization", "X-Tenant"]] * 4
    assert "canary" not in json.dumps(shown)
    assert house.post(path, json={"headers": {}}).json()["header_names"] == []


def test_a_rotation_says_until_when_the_previous_secret_signs(house: House) -> None:
    path = f"{ENDPOINTS}/{made(house)['id']}"
    assert house.get(path).json()["previous_secret_expires_at"] is None
    rotated = house.post(f"{path}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True}).json()
    assert rotated["previous_secret_expires_at"] == rotated["updated_at"] + 24 * 3600
    assert house.get(path).json()["previous_secret_expires_at"] == rotated["previous_secret_expires_at"]
    assert house.post(f"{path}/rotate_secret").json()["previous_secret_expires_at"] is None


def test_endpoints_in_trouble_stand_in_the_usage(house: House) -> None:
    path = f"{ENDPOINTS}/{made(house)['id']}"
    assert house.get("/v1/usage").json()["webhook_endpoints"] == []
    failing = {"failing_since": 1000.0, "told_failing": True, "last_error": "dns"}
    shift(house.services.webhooks, WebhookEndpoint, path.rpartition("/")[2], **failing)
    (told,) = house.get("/v1/usage").json()["webhook_endpoints"]
    shown = house.get(path).json()
    assert told == {name: shown[name] for name in told}
    assert (told["failing_since"], told["error"]["code"]) == (1000, "dns")


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
