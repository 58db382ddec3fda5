"""What a consumer relies on when things go wrong: it is told, what it missed is kept, and sent again."""

import json
import logging
from typing import Any

import pytest

from infra.database.session import Database
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.encryption.resealing import Resealing
from infra.encryption.secret_box import SecretBox, new_key
from infra.keys.accounts import Accounts
from infra.outbound.failures import sentence
from infra.webhooks.health.failing import DISABLED_AFTER, TOLD_AFTER
from infra.webhooks.outbox import DISABLED_EVENT, FAILING_EVENT, PROCESSING_EVENT, WAITING_EVENT
from infra.webhooks.retry_schedule import Verdict
from infra.webhooks.store import Outcome, WebhookStore, Which
from pipeline.errors import Expired, NotFound, WrongState
from tests.contracts.job_store_harness import JobStoreHarness
from tests.support.webhook_events import claimed, event_for, shift

HOOK = "https://example.com/hook"
FAILED, DONE = Verdict(False, 60.0), Verdict(True, None)
OTHERS = [FAILING_EVENT, DISABLED_EVENT]


@pytest.fixture
def hooks(database: Database) -> WebhookStore:
    return WebhookStore(database)


def endpoint(hooks: WebhookStore, account: str, **given: Any) -> str:
    wanted = {"name": "mine", "url": HOOK, "event_types": ["audio.job.completed"], **given}
    return hooks.create_endpoint(account, **wanted).id


def attempt(hooks: WebhookStore, message_id: str, outcome: Outcome, verdict: Verdict = FAILED) -> WebhookMessage:
    shift(hooks, WebhookMessage, message_id, next_attempt_at=1.0)
    while (delivery := claimed(hooks, message_id)).message.id != message_id:
        pass  # another endpoint's, which stays under way
    row = hooks.record(delivery, outcome, verdict)
    assert row is not None
    return row


def age(hooks: WebhookStore, account: str, endpoint_id: str, seconds: float) -> None:
    """It has failed for so much longer."""
    since = hooks.endpoint(account, endpoint_id).failing_since
    assert since is not None
    shift(hooks, WebhookEndpoint, endpoint_id, failing_since=since - seconds)


def told(hooks: WebhookStore, account: str, endpoint_id: str) -> list[tuple[str, dict[str, Any]]]:
    found, _ = hooks.messages(account, Which(endpoint_id=endpoint_id))
    return [(message.type, json.loads(message.body)["data"]) for message, _ in found][::-1]


def test_an_endpoint_says_since_when_and_why_it_takes_nothing(hooks: WebhookStore, account: str) -> None:
    mine = endpoint(hooks, account)
    message = event_for(hooks, mine)
    row = attempt(hooks, message.id, Outcome(error="tls_expired"))
    assert (row.last_error, row.last_status) == ("tls_expired", None)
    first = hooks.endpoint(account, mine)
    assert (first.last_error, first.failing_since is not None) == ("tls_expired", True)
    attempt(hooks, message.id, Outcome(500))
    second = hooks.endpoint(account, mine)
    assert (second.last_error, second.last_status, second.failing_since) == (None, 500, first.failing_since)
    assert hooks.pending(account) == {mine: 1}
    attempt(hooks, message.id, Outcome(204), DONE)
    third = hooks.endpoint(account, mine)
    assert (third.last_error, third.last_status, third.failing_since) == (None, 204, None)
    assert (hooks.pending(account), hooks.in_trouble(account)) == ({}, [])


def test_after_three_days_the_account_is_told_once(
    hooks: WebhookStore, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    mine, other = endpoint(hooks, account), endpoint(hooks, account, event_types=OTHERS)
    deaf = endpoint(hooks, account)
    message = event_for(hooks, mine)
    attempt(hooks, message.id, Outcome(error="dns"))
    age(hooks, account, mine, TOLD_AFTER - 60)
    attempt(hooks, message.id, Outcome(error="dns"))
    assert told(hooks, account, other) == []
    age(hooks, account, mine, 60)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            attempt(hooks, message.id, Outcome(error="dns"))
    ((kind, data),) = told(hooks, account, other)
    error = {"code": "dns", "message": sentence("dns")}
    assert (kind, data["id"], data["status"], data["error"]) == (FAILING_EVENT, mine, "active", error)
    assert [sentence("dns") in record.getMessage() for record in caplog.records] == [True]
    assert [row.id for row in hooks.in_trouble(account)] == [mine]
    assert told(hooks, account, deaf) == [], "who has not asked for it"
    attempt(hooks, message.id, Outcome(200), DONE)
    assert hooks.in_trouble(account) == []


def test_after_seven_days_it_is_disabled_and_its_events_are_kept(
    harness: JobStoreHarness, hooks: WebhookStore, account: str
) -> None:
    mine, other = endpoint(hooks, account), endpoint(hooks, account, event_types=OTHERS)
    waiting, failing = event_for(hooks, mine), event_for(hooks, mine)
    attempt(hooks, failing.id, Outcome(503))
    age(hooks, account, mine, DISABLED_AFTER)
    attempt(hooks, failing.id, Outcome(503))
    shown = hooks.endpoint(account, mine)
    assert (shown.status, shown.disabled_reason, shown.last_status) == ("disabled", "failing", 503)
    assert [kind for kind, _ in told(hooks, account, other)] == [DISABLED_EVENT]
    job = harness.submit()
    harness.finish_short(job)
    found, _ = hooks.messages(account, Which(endpoint_id=mine))
    assert {(message.id, message.status, message.last_error) for message, _ in found} == {
        (waiting.id, "dropped", "endpoint_disabled"),
        (failing.id, "dropped", "endpoint_disabled"),
        (harness.messages(job)[0].id, "dropped", "endpoint_disabled"),
    }
    assert claimed(hooks, waiting.id).message.endpoint_id == other
    assert hooks.claim(waiting.id) is None
    with pytest.raises(WrongState):
        hooks.replay_all(account, mine, since=0)
    hooks.update_endpoint(account, mine, status="active")
    revived = hooks.endpoint(account, mine)
    assert (revived.failing_since, revived.disabled_reason, hooks.in_trouble(account)) == (None, None, [])
    assert hooks.replay_all(account, mine, since=0) == 3
    assert hooks.pending(account)[mine] == 3


def test_who_is_disabled_by_its_owner_misses_what_comes(
    harness: JobStoreHarness, hooks: WebhookStore, account: str
) -> None:
    mine = endpoint(hooks, account)
    hooks.update_endpoint(account, mine, status="disabled")
    job = harness.submit()
    harness.finish_short(job)
    assert harness.messages(job) == []


def test_a_time_is_replayed_the_oldest_first(hooks: WebhookStore, account: str) -> None:
    mine, other = endpoint(hooks, account), endpoint(hooks, account)
    ids = [event_for(hooks, mine).id for _ in range(5)]
    foreign, test = event_for(hooks, other), hooks.send_test(account, mine)
    for number, message_id in enumerate(ids):
        shift(hooks, WebhookMessage, message_id, created_at=1000.0 + number, status="delivered", next_attempt_at=None)
    shift(hooks, WebhookMessage, ids[3], status="exhausted")
    for message_id in (foreign.id, test.id):
        shift(hooks, WebhookMessage, message_id, created_at=1002.0, status="delivered", next_attempt_at=None)
    assert hooks.replay_all(account, mine, since=1001, until=1003, status="exhausted") == 1
    assert hooks.replay_all(account, mine, since=1001, until=1003) == 3
    sent = []
    while (delivery := hooks.claim("evt_hint")) is not None:
        sent.append(delivery.message.id)
        assert (delivery.n, delivery.tries) == (1, 1)
        hooks.record(delivery, Outcome(200), DONE)
    assert sent == ids[1:4]
    assert hooks.replay_all(account, mine, since=1005) == 0
    with pytest.raises(NotFound):
        hooks.replay_all(account, "whe_nothing", since=0)


def test_what_is_being_sent_is_not_sent_twice_at_once(hooks: WebhookStore, account: str) -> None:
    mine = endpoint(hooks, account)
    under_way, waiting = event_for(hooks, mine), event_for(hooks, mine)
    delivery = claimed(hooks, under_way.id)
    assert delivery.message.id == under_way.id
    assert hooks.replay_all(account, mine, since=0) == 1
    assert claimed(hooks, waiting.id).message.id == waiting.id


def test_a_jobs_own_webhook_is_replayed_until_it_is_purged(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    job = harness.submit(webhook_url=HOOK)
    harness.finish_short(job)
    (message,) = harness.messages(job)
    attempt(hooks, message.id, Outcome(200), DONE)
    assert hooks.replay(harness.account, message.id, job_id=job.id).status == "pending"
    assert claimed(hooks, message.id).n == 2
    with pytest.raises(NotFound):
        hooks.replay(harness.account, message.id, job_id="job_other")
    with pytest.raises(NotFound):
        hooks.replay(harness.account, message.id, endpoint_id="whe_other")
    harness.shift(job, cleared=True)
    with pytest.raises(Expired):
        hooks.replay(harness.account, message.id, job_id=job.id)


def test_deliveries_are_found_by_status_time_and_job(
    harness: JobStoreHarness, hooks: WebhookStore, account: str
) -> None:
    mine = endpoint(hooks, account)
    first, second = event_for(hooks, mine), event_for(hooks, mine)
    shift(hooks, WebhookMessage, first.id, created_at=1000.0, status="exhausted", next_attempt_at=None)
    shift(hooks, WebhookMessage, second.id, created_at=2000.0)
    job = harness.submit()
    harness.finish_short(job)
    (third,) = harness.messages(job)
    for which, wanted in (
        (Which(status="exhausted"), [first.id]),
        (Which(since=1500, until=2000), [second.id]),
        (Which(until=1000), [first.id]),
        (Which(job_id=job.id, endpoint_id=mine), [third.id]),
        (Which(endpoint_id=mine), [third.id, second.id, first.id]),
        (Which(job_id=job.id, status="delivered"), []),
    ):
        assert [message.id for message, _ in hooks.messages(account, which)[0]] == wanted


def test_own_headers_are_sealed_and_go_to_their_server_only(database: Database, account: str) -> None:
    box = SecretBox([new_key()])
    hooks = WebhookStore(database, box)
    mine = endpoint(hooks, account, headers={"Authorization": "Bearer canary"})
    assert hooks.endpoint(account, mine).headers == {"Authorization": "Bearer canary"}

    def sent() -> dict[str, Any]:
        delivery = claimed(hooks, event_for(hooks, mine).id)
        hooks.record(delivery, Outcome(200), DONE)
        assert "canary" not in str(delivery.headers)
        return box.open_object(delivery.headers or {})

    assert sent() == {"Authorization": "Bearer canary"}
    hooks.update_endpoint(account, mine, url="https://EXAMPLE.com/elsewhere")
    assert sent() == {"Authorization": "Bearer canary"}
    hooks.update_endpoint(account, mine, url="https://example.org/hook")
    assert sent() == {}
    hooks.update_endpoint(account, mine, url="https://example.net/hook", headers={"X-Key": "canary"})
    assert sent() == {"X-Key": "canary"}
    hooks.update_endpoint(account, mine, headers={})
    assert sent() == {}


def test_headers_in_plain_text_are_sealed_with_the_secrets(database: Database, account: str) -> None:
    mine = endpoint(WebhookStore(database), account, headers={"X-Key": "canary"})
    box = SecretBox([new_key()])
    assert Resealing(database, box).reseal() == 1
    with database.read() as session:
        row = session.get_one(WebhookEndpoint, mine)
    assert "canary" not in str(row.headers)
    assert WebhookStore(database, box).endpoint(account, mine).headers == {"X-Key": "canary"}
    assert Resealing(database, box).reseal() == 0


def test_that_a_job_is_being_worked_on_is_told_who_asks_by_name_and_once(
    harness: JobStoreHarness, hooks: WebhookStore
) -> None:
    named = endpoint(hooks, harness.account, event_types=[PROCESSING_EVENT])
    endpoint(hooks, harness.account)
    job = harness.submit(webhook_url=HOOK)
    other = harness.submit(webhook_url=HOOK, webhook_events=[PROCESSING_EVENT])
    lease = harness.claim(job)
    harness.jobs.release(lease)
    harness.claim(job)
    harness.claim(other)
    assert {(one.target, one.type) for one in harness.messages(job)} == {(named, PROCESSING_EVENT)}
    assert len(harness.messages(job)) == 1
    assert {one.target for one in harness.messages(other)} == {named, "job"}
    body = json.loads(harness.messages(job)[0].body)
    assert (body["data"]["id"], body["data"]["status"]) == (job.id, "processing")


def test_who_listens_reads_each_event_once(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    account, mine = harness.account, endpoint(hooks, harness.account)
    listener = hooks.listen(account, [])
    job = harness.submit()
    harness.finish_short(job)
    (heard,) = hooks.overheard(listener)
    (sent,) = (message for message in harness.messages(job) if message.target == mine)
    assert json.loads(heard.body)["data"] == json.loads(sent.body)["data"]
    assert (hooks.due(), hooks.counts()["pending"]) == ([sent.id], 1), "nothing is posted to a listener"
    assert [message.id for message, _ in hooks.messages(account)[0]] == [sent.id]
    with pytest.raises(NotFound):
        hooks.message(account, heard.id)
    assert [row.id for row in hooks.endpoints(account)[0]] == [mine]
    with pytest.raises(NotFound):
        hooks.endpoint(account, listener)
    hooks.read([heard.id])
    assert hooks.overheard(listener) == []


def test_who_listens_hears_what_is_on_request_by_name_only(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    everything = hooks.listen(harness.account, [])
    named = hooks.listen(harness.account, [PROCESSING_EVENT, WAITING_EVENT])
    stranger = hooks.listen(Accounts(harness.database).create_account("other").id, [])
    job = harness.submit()
    harness.finish_short(job)
    assert [message.type for message in hooks.overheard(everything)] == ["audio.job.completed"]
    assert [message.type for message in hooks.overheard(named)] == [PROCESSING_EVENT]
    assert hooks.overheard(stranger) == []


def test_who_comes_back_in_time_has_missed_nothing(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    listener = hooks.listen(harness.account, [])
    job = harness.submit()
    harness.finish_short(job)
    assert hooks.listen(harness.account, [], listener) == listener
    assert len(hooks.overheard(listener)) == 1
    stranger = Accounts(harness.database).create_account("other").id
    assert hooks.listen(stranger, [], listener) != listener
    assert hooks.still_there(listener)
    shift(hooks, WebhookEndpoint, listener, updated_at=1.0)
    hooks.forget_listeners(120)
    assert not hooks.still_there(listener)
    assert (hooks.overheard(listener), hooks.listen(harness.account, [], listener) != listener) == ([], True)


def test_an_account_has_only_so_many_listeners(hooks: WebhookStore, account: str) -> None:
    ids = [hooks.listen(account, []) for _ in range(25)]
    assert [one for one in ids if hooks.still_there(one)] == ids[5:]


def test_a_deleted_job_leaves_nothing_to_listeners(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    listener = hooks.listen(harness.account, [])
    job = harness.submit()
    harness.finish_short(job)
    harness.jobs.delete(harness.account, job.id)
    assert hooks.overheard(listener) == []
