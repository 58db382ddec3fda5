"""Webhooks leave signed, are tried again, and stop when the receiver wants no more."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from infra.webhooks.signing_secrets import new_secret
from pipeline.errors import DatabaseUnavailable
from tests.support.receiver import Receiver, receiving
from tests.support.recordings import short
from tests.support.waiting import wait_until
from tests.workers.conftest import WorkerHarness
from workers import sweep
from workers.steps.deliver import deliver

pytestmark = pytest.mark.processes


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def deliver_due(harness: WorkerHarness) -> int:
    """Ring and answer for what is due; returns how many attempts were made."""
    harness.messages.sent.clear()
    sweep.deliver_due(harness.services)
    for _, message_id in harness.messages.sent:
        deliver(harness.worker("io"), str(message_id))
    return len(harness.messages.sent)


def test_a_finished_job_is_told_of_until_somebody_listens(harness: WorkerHarness, receiver: Receiver) -> None:
    secret = new_secret()
    receiver.answers = [500, 503]
    job_id = harness.submit(short(1), webhook_url=f"{receiver.url}/hook", webhook_secret=secret)
    harness.work(most=1)
    wait_until(lambda: deliver_due(harness) == 0 and len(receiver.got) == 3, every=0.2)
    ids = {headers["webhook-id"] for headers, _ in receiver.got}
    assert len(ids) == 1
    assert len({body for _, body in receiver.got}) == 1
    for headers, body in receiver.got:
        event = Webhook(secret).verify(body, headers)
        assert event["type"] == "audio.job.completed"
        assert event["data"]["id"] == job_id
    (message, attempts), *_ = harness.services.webhooks.messages(harness.account)[0]
    assert message.status == "delivered"
    assert [attempt.status_code for attempt in attempts] == [500, 503, 200]
    assert attempts[-1].response_excerpt == "thanks"


def test_an_endpoint_that_is_gone_is_disabled(harness: WorkerHarness, receiver: Receiver) -> None:
    endpoint = harness.services.webhooks.create_endpoint(
        harness.account, name="mine", url=receiver.url, event_types=["audio.job.failed", "audio.job.completed"]
    )
    receiver.answers = [410]
    harness.submit(short(1))
    harness.work(most=1)
    wait_until(lambda: deliver_due(harness) == 1)
    assert harness.services.webhooks.endpoint(harness.account, endpoint.id).status == "disabled"
    harness.submit(short(2))
    harness.work(most=1)
    assert deliver_due(harness) == 0
    assert len(receiver.got) == 1


def test_the_same_message_twice_is_one_attempt(harness: WorkerHarness, receiver: Receiver) -> None:
    harness.submit(short(1), webhook_url=receiver.url, webhook_secret=new_secret())
    harness.work(most=1)
    (message_id,) = harness.services.webhooks.due()
    for _ in range(3):
        deliver(harness.worker("io"), message_id)
    assert len(receiver.got) == 1


def test_a_receiver_that_is_not_there_is_logged(harness: WorkerHarness, receiver: Receiver) -> None:
    harness.submit(short(1), webhook_url="http://127.0.0.1:9/", webhook_secret=new_secret())
    harness.work(most=1)
    (message_id,) = harness.services.webhooks.due()
    deliver(harness.worker("io"), message_id)
    _, attempts = harness.services.webhooks.message(harness.account, message_id)
    assert attempts[0].error == "connection_refused"
    assert attempts[0].status_code is None


def test_a_failed_job_is_told_of_too(harness: WorkerHarness, receiver: Receiver) -> None:
    harness.submit(
        short(1), "fail=9 error=refused", webhook_url=receiver.url, webhook_secret=new_secret(), webhook_events=None
    )
    harness.work(most=1)
    wait_until(lambda: deliver_due(harness) == 1)
    assert json.loads(receiver.got[0][1])["type"] == "audio.job.failed"


def test_a_message_that_does_not_exist_is_no_error(harness: WorkerHarness) -> None:
    deliver(harness.worker("io"), "evt_unknown")


def test_what_was_answered_is_not_sent_again_because_the_database_is_away(
    harness: WorkerHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.submit(short(1), webhook_url=receiver.url, webhook_secret=new_secret())
    harness.work(most=1)
    record, tries = harness.services.webhooks.record, []

    def away_at_first(*given: Any, **more: Any) -> Any:
        tries.append(given)
        if len(tries) < 3:
            raise DatabaseUnavailable
        return record(*given, **more)

    monkeypatch.setattr(harness.services.webhooks, "record", away_at_first)
    monkeypatch.setattr("workers.steps.deliver.PAUSES", (0.0,))
    assert deliver_due(harness) == 1
    assert (len(tries), len(receiver.got)) == (3, 1)
    (message, _), *_ = harness.services.webhooks.messages(harness.account)[0]
    assert message.status == "delivered"
