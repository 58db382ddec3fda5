"""Webhooks leave signed, are tried again, and stop when the receiver wants no more."""

import json
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from infra.webhook.signing_secrets import new_secret
from tests.support.receiver import Receiver, receiving
from tests.support.recordings import short
from tests.support.waiting import wait_until
from tests.workers.conftest import Office
from workers import sweep
from workers.advance import advance
from workers.deliver import deliver

pytestmark = pytest.mark.processes


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def deliver_due(office: Office) -> int:
    """Ring and answer for what is due; returns how many attempts were made."""
    office.bells.rung.clear()
    sweep.deliver_due(office.services)
    for _, message_id in office.bells.rung:
        deliver(office.desk("io"), str(message_id))
    return len(office.bells.rung)


def test_a_finished_job_is_told_of_until_somebody_listens(office: Office, receiver: Receiver) -> None:
    secret = new_secret()
    receiver.answers = [500, 503]
    job_id = office.submit(short(1), webhook_url=f"{receiver.url}/hook", webhook_secret=secret)
    advance(office.desk(), job_id)
    wait_until(lambda: deliver_due(office) == 0 and len(receiver.got) == 3, every=0.2)
    ids = {headers["webhook-id"] for headers, _ in receiver.got}
    assert len(ids) == 1
    assert len({body for _, body in receiver.got}) == 1
    for headers, body in receiver.got:
        event = Webhook(secret).verify(body, headers)
        assert event["type"] == "audio.job.completed"
        assert event["data"]["id"] == job_id
    (message, attempts), *_ = office.services.webhooks.messages(office.account)[0]
    assert message.status == "delivered"
    assert [attempt.status_code for attempt in attempts] == [500, 503, 200]
    assert attempts[-1].response_excerpt == "thanks"


def test_an_endpoint_that_is_gone_is_disabled(office: Office, receiver: Receiver) -> None:
    endpoint = office.services.webhooks.create_endpoint(
        office.account, name="mine", url=receiver.url, event_types=["audio.job.failed", "audio.job.completed"]
    )
    receiver.answers = [410]
    advance(office.desk(), office.submit(short(1)))
    wait_until(lambda: deliver_due(office) == 1)
    assert office.services.webhooks.endpoint(office.account, endpoint.id).status == "disabled"
    advance(office.desk(), office.submit(short(2)))
    assert deliver_due(office) == 0
    assert len(receiver.got) == 1


def test_the_same_bell_twice_is_one_attempt(office: Office, receiver: Receiver) -> None:
    advance(office.desk(), office.submit(short(1), webhook_url=receiver.url, webhook_secret=new_secret()))
    (message_id,) = office.services.webhooks.due()
    for _ in range(3):
        deliver(office.desk("io"), message_id)
    assert len(receiver.got) == 1


def test_a_receiver_that_is_not_there_is_logged(office: Office, receiver: Receiver) -> None:
    advance(office.desk(), office.submit(short(1), webhook_url="http://127.0.0.1:9/", webhook_secret=new_secret()))
    (message_id,) = office.services.webhooks.due()
    deliver(office.desk("io"), message_id)
    _, attempts = office.services.webhooks.message(office.account, message_id)
    assert attempts[0].error == "connection_refused"
    assert attempts[0].status_code is None


def test_a_failed_job_is_told_of_too(office: Office, receiver: Receiver) -> None:
    job_id = office.submit(
        short(1), "fail=9 error=refused", webhook_url=receiver.url, webhook_secret=new_secret(), webhook_events=None
    )
    advance(office.desk(), job_id)
    wait_until(lambda: deliver_due(office) == 1)
    assert json.loads(receiver.got[0][1])["type"] == "audio.job.failed"


def test_a_message_that_does_not_exist_is_no_error(office: Office) -> None:
    deliver(office.desk("io"), "evt_unknown")
