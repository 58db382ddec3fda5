"""Endpoints, messages, attempts."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from infra.database.session import Database
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.keys.accounts import Accounts
from infra.outbound.client import Answer
from infra.webhooks.retry_schedule import Verdict, verdict
from infra.webhooks.store import Outcome, WebhookStore, Which
from pipeline.errors import InvalidRequest, NotFound, WrongState
from tests.contracts.job_store_harness import CHUNK, JobStoreHarness, span
from tests.support.webhook_events import claimed, event_for, shift

HOOK = "https://example.com/hook"


@pytest.fixture
def hooks(database: Database) -> WebhookStore:
    return WebhookStore(database)


@pytest.fixture
def endpoint(hooks: WebhookStore, account: str) -> WebhookEndpoint:
    return hooks.create_endpoint(account, name="mine", url=HOOK, event_types=["audio.job.completed"])


def test_an_endpoint_comes_with_a_secret_that_every_library_reads(endpoint: WebhookEndpoint) -> None:
    prefix, _, encoded = endpoint.secret.partition("_")
    assert prefix == "whsec"
    assert len(base64.b64decode(encoded, validate=True)) == 32
    assert (endpoint.status, endpoint.old_secret) == ("active", None)


def test_endpoints_belong_to_an_account(hooks: WebhookStore, endpoint: WebhookEndpoint, database: Database) -> None:
    stranger = Accounts(database).create_account("other").id
    asks: tuple[Callable[[str, str], object], ...] = (
        hooks.endpoint,
        hooks.update_endpoint,
        hooks.delete_endpoint,
        hooks.rotate_secret,
        hooks.send_test,
    )
    for ask in asks:
        with pytest.raises(NotFound) as foreign:
            ask(stranger, endpoint.id)
        with pytest.raises(NotFound) as unknown:
            ask(endpoint.account_id, "whe_nothing")
        assert foreign.value.as_dict() == unknown.value.as_dict()
    assert hooks.endpoints(stranger) == ([], False)


def test_endpoints_are_paged(hooks: WebhookStore, account: str) -> None:
    ids = [hooks.create_endpoint(account, name=str(n), url=HOOK, event_types=[]).id for n in range(5)]
    page, more = hooks.endpoints(account, limit=2)
    assert ([row.id for row in page], more) == (ids[:2:-1], True)
    page, more = hooks.endpoints(account, limit=3, after=ids[1], order="asc")
    assert ([row.id for row in page], more) == (ids[2:], False)
    with pytest.raises(InvalidRequest):
        hooks.endpoints(account, after="whe_nothing")


def test_an_endpoint_is_changed_where_it_is_said(hooks: WebhookStore, endpoint: WebhookEndpoint, account: str) -> None:
    hooks.update_endpoint(account, endpoint.id, url="https://example.com/new", status="disabled")
    found = hooks.endpoint(account, endpoint.id)
    assert (found.url, found.name, found.status) == ("https://example.com/new", "mine", "disabled")
    assert found.event_types == ["audio.job.completed"]
    assert found.updated_at >= found.created_at


def test_while_a_secret_rotates_both_sign(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str, database: Database
) -> None:
    first = endpoint.secret
    second = hooks.rotate_secret(account, endpoint.id, keep_old=True).secret
    assert first != second
    message = event_for(hooks, endpoint.id)

    def secrets_of(message: WebhookMessage) -> tuple[str, ...]:
        delivery = claimed(hooks, message.id)
        hooks.record(delivery, Outcome(200), Verdict(True, None))
        return delivery.secrets

    assert secrets_of(message) == (second, first)
    with database.write() as session:
        session.execute(update(WebhookEndpoint).values(old_secret_until=1.0))
    assert secrets_of(event_for(hooks, endpoint.id)) == (second,)
    third = hooks.rotate_secret(account, endpoint.id).secret
    assert secrets_of(event_for(hooks, endpoint.id)) == (third,)


def test_a_test_message_is_a_message_that_is_tried_once(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str
) -> None:
    message = hooks.send_test(account, endpoint.id)
    body = json.loads(message.body)
    assert (body["id"], body["object"], body["type"]) == (message.id, "event", "webhook.test")
    assert body["data"] == {"id": endpoint.id, "object": "webhook_endpoint", "test": True}
    assert hooks.due() == [message.id]
    delivery = claimed(hooks, message.id)
    assert delivery.message.url == HOOK
    follows = verdict(Answer(status=500), delivery.tries, once=delivery.message.once)
    row = hooks.record(delivery, Outcome(500), follows)
    assert row is not None and (row.status, row.next_attempt_at) == ("dropped", None)
    assert hooks.counts()["exhausted"] == 0, "nothing is lost"


def test_a_disabled_endpoint_can_be_tested(hooks: WebhookStore, endpoint: WebhookEndpoint, account: str) -> None:
    hooks.update_endpoint(account, endpoint.id, status="disabled")
    claimed(hooks, hooks.send_test(account, endpoint.id).id)


def test_a_webhook_tells_how_much_is_missing(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    hole = {"start": 0, "end": 61_000, "code": "hole", "retryable": False}
    caution = {"code": "truncated", "start": 5, "end": 5, "message": "It ends early.", "lost": True}
    job = harness.submit(webhook_url=HOOK, request={"on_chunk_failure": "partial"})
    lease = harness.claim(job)
    for idx in range(2):
        harness.jobs.add_chunk(lease, idx, span(idx), f"sound/{idx}")
    harness.jobs.cut_done(lease, 2 * CHUNK, 2, {"findings": {"gaps": [hole], "warnings": [caution]}})
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    harness.finish(job)
    (message,) = harness.messages(job)
    told = json.loads(message.body)["data"]
    assert (told["partial"], told["incomplete"], told["gaps"], told["warnings"]) == (True, True, 2, 1)


def test_the_jobs_own_webhook_is_signed_with_its_own_secret(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    job = harness.submit(
        webhook_url=HOOK, webhook_secret="whsec_c2VjcmV0", client_reference_id="r-1", meta={"titel": "Grüße"}
    )
    harness.finish_short(job)
    message = harness.messages(job)[0]
    delivery = claimed(hooks, message.id)
    assert delivery.secrets == ("whsec_c2VjcmV0",)
    body = json.loads(delivery.message.body)
    assert body["data"] == {
        "id": job.id,
        "object": "audio.job",
        "task": "transcription",
        "model": "oracle",
        "status": "completed",
        "client_reference_id": "r-1",
        "metadata": {"titel": "Grüße"},
        "partial": False,
        "incomplete": False,
        "gaps": 0,
        "warnings": 0,
        "cost": {"currency": "usd", "estimated": 0.0, "held": 0.0, "captured": 0.0},
        "error": None,
        "transcript_url": f"/v1/audio/jobs/{job.id}/transcript",
    }
    assert isinstance(body["created_at"], int)


def test_one_attempt_at_a_time(hooks: WebhookStore, endpoint: WebhookEndpoint, account: str) -> None:
    message = event_for(hooks, endpoint.id)
    with ThreadPoolExecutor(16) as threads:
        claims = list(threads.map(lambda _: hooks.claim(message.id), range(32)))
    assert sum(claim is not None for claim in claims) == 1
    assert hooks.claim("evt_nothing") is None


def test_the_whole_way_of_a_message(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str, database: Database
) -> None:
    message = event_for(hooks, endpoint.id)
    first = claimed(hooks, message.id)
    assert (first.n, first.tries) == (1, 1)
    row = hooks.record(first, Outcome(503, duration_ms=20), Verdict(False, 60))
    assert row is not None and (row.status, row.last_status, row.attempts) == ("pending", 503, 1)
    assert hooks.claim(message.id) is None
    assert hooks.due() == []
    shift(hooks, WebhookMessage, message.id, next_attempt_at=1.0)
    assert hooks.due() == [message.id]
    second = claimed(hooks, message.id)
    row = hooks.record(second, Outcome(200, response_excerpt="ok"), Verdict(True, None))
    assert row is not None and row.delivered_at is not None
    found, attempts = hooks.message(account, message.id)
    assert (found.status, found.next_attempt_at) == ("delivered", None)
    assert [(attempt.n, attempt.status_code) for attempt in attempts] == [(1, 503), (2, 200)]
    assert attempts[1].started_at >= attempts[0].started_at
    assert hooks.claim(message.id) is None
    assert first.message.body == second.message.body


def test_when_the_schedule_is_over_the_message_waits_for_a_replay(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str
) -> None:
    message = event_for(hooks, endpoint.id)
    hooks.record(claimed(hooks, message.id), Outcome(500), Verdict(False, None))
    assert hooks.counts()["exhausted"] == 1
    hooks.replay(account, message.id)
    again = claimed(hooks, message.id)
    assert (again.message.id, again.n, again.tries) == (message.id, 2, 1)
    hooks.record(again, Outcome(200), Verdict(True, None))
    hooks.replay(account, message.id)
    assert claimed(hooks, message.id).n == 3


def test_a_sender_that_died_after_sending_sends_the_same_message_again(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str, database: Database
) -> None:
    message = event_for(hooks, endpoint.id)
    dead = claimed(hooks, message.id)
    assert hooks.claim(message.id) is None
    shift(hooks, WebhookMessage, message.id, lease_until=1.0)
    assert hooks.due() == [message.id]
    heir = claimed(hooks, message.id)
    assert (heir.n, heir.message.body) == (2, dead.message.body)
    assert hooks.record(dead, Outcome(500), Verdict(False, None)) is None
    row = hooks.record(heir, Outcome(200), Verdict(True, None))
    assert row is not None and row.status == "delivered"
    assert [attempt.n for attempt in hooks.message(account, message.id)[1]] == [1, 2]


def test_senders_that_always_die_come_to_an_end(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str, database: Database
) -> None:
    message = event_for(hooks, endpoint.id)
    shift(hooks, WebhookMessage, message.id, attempts=30)
    assert hooks.claim(message.id) is None
    assert hooks.message(account, message.id)[0].status == "exhausted"


def test_what_waits_is_told_with_the_age_of_the_oldest_that_is_due(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str
) -> None:
    assert hooks.waiting() == {"pending": 0, "lag_seconds": 0.0, "endpoints_disabled": 0}
    late, later = hooks.send_test(account, endpoint.id), hooks.send_test(account, endpoint.id)
    assert late.next_attempt_at is not None
    shift(hooks, WebhookMessage, late.id, next_attempt_at=late.next_attempt_at - 1000)
    shift(hooks, WebhookMessage, later.id, next_attempt_at=late.next_attempt_at + 100_000)
    waiting = hooks.waiting()
    assert waiting["pending"] == 2
    assert 1000 <= waiting["lag_seconds"] < 50_000
    hooks.record(claimed(hooks, late.id), Outcome(200), Verdict(True, None))
    assert hooks.waiting() == {"pending": 1, "lag_seconds": 0.0, "endpoints_disabled": 0}


def test_gone_disables_the_endpoint(hooks: WebhookStore, endpoint: WebhookEndpoint, account: str) -> None:
    sent, waiting = event_for(hooks, endpoint.id), event_for(hooks, endpoint.id)
    hooks.record(claimed(hooks, sent.id), Outcome(410), Verdict(False, None, gone=True))
    assert hooks.endpoint(account, endpoint.id).status == "disabled"
    assert {hooks.message(account, message.id)[0].status for message in (sent, waiting)} == {"dropped"}
    assert hooks.counts() == {"pending": 0, "delivered": 0, "exhausted": 0, "dropped": 2, "endpoints_disabled": 1}
    shown = hooks.endpoint(account, endpoint.id)
    assert (shown.disabled_reason, shown.last_status) == ("gone", 410)
    with pytest.raises(WrongState):
        hooks.replay(account, sent.id)
    hooks.update_endpoint(account, endpoint.id, status="active")
    hooks.replay(account, sent.id)
    assert hooks.claim(sent.id) is not None
    assert hooks.endpoint(account, endpoint.id).disabled_reason is None


def test_a_jobs_webhook_that_is_gone_is_dropped(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    job = harness.submit(webhook_url=HOOK)
    harness.finish_short(job)
    delivery = claimed(hooks, harness.messages(job)[0].id)
    assert delivery.secrets == ()
    row = hooks.record(delivery, Outcome(410), Verdict(False, None, gone=True))
    assert row is not None and row.status == "dropped"


def test_waiting_messages_follow_the_endpoint_and_end_with_it(
    hooks: WebhookStore, endpoint: WebhookEndpoint, account: str
) -> None:
    message = event_for(hooks, endpoint.id)
    hooks.update_endpoint(account, endpoint.id, url="https://example.com/moved")
    delivery = claimed(hooks, message.id)
    assert delivery.message.url == "https://example.com/moved"
    hooks.record(delivery, Outcome(500), Verdict(False, 0))
    hooks.delete_endpoint(account, endpoint.id)
    assert hooks.message(account, message.id)[0].status == "dropped"
    assert hooks.due() == []


def test_the_log_is_paged_and_filtered(
    harness: JobStoreHarness, hooks: WebhookStore, endpoint: WebhookEndpoint
) -> None:
    job = harness.submit(webhook_url=HOOK)
    harness.finish_short(job)
    tests = [event_for(hooks, endpoint.id).id for _ in range(3)]
    of_job, more = hooks.messages(harness.account, Which(job_id=job.id))
    assert ({message.target for message, _ in of_job}, more) == ({"job", endpoint.id}, False)
    first, more = hooks.messages(harness.account, Which(endpoint_id=endpoint.id), limit=2)
    assert ([message.id for message, _ in first], more) == (tests[:0:-1], True)
    rest, more = hooks.messages(harness.account, Which(endpoint_id=endpoint.id), limit=2, after=tests[1])
    assert ([message.type for message, _ in rest], more) == (["webhook.test", "audio.job.completed"], False)
    stranger = Accounts(harness.database).create_account("other").id
    assert hooks.messages(stranger) == ([], False)
    with pytest.raises(NotFound):
        hooks.message(stranger, tests[0])
    with pytest.raises(NotFound):
        hooks.replay(stranger, tests[0])
    with pytest.raises(InvalidRequest):
        hooks.messages(stranger, after=tests[0])
