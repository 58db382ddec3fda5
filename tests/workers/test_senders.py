"""Receivers that keep silent hold half of a worker's threads at most; what is put off meanwhile is not lost."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from infra.outbound.client import Answer
from pipeline.errors import DatabaseUnavailable
from tests.support.waiting import wait_until
from tests.workers.conftest import WorkerHarness
from workers.senders import Senders
from workers.steps import deliver as step
from workers.steps.deliver import deliver, ring


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Receivers that answer once this is set."""
    event = threading.Event()

    def attempt(*_: Any, **__: Any) -> Answer:
        event.wait(60)
        return Answer(status=200)

    monkeypatch.setattr(step, "attempt", attempt)
    yield event
    event.set()


def test_what_is_put_off_is_seen_to_by_the_first_that_is_done(harness: WorkerHarness, go: threading.Event) -> None:
    hooks = harness.services.webhooks
    for n in range(6):
        endpoint = hooks.create_endpoint(harness.account, name=str(n), url="https://example.com", event_types=[])
        hooks.send_test(harness.account, endpoint.id)
    ring(harness.services, 6)
    rung = [message_id for _, message_id in harness.messages.sent]
    worker = replace(harness.worker("io"), senders=Senders(2))
    with ThreadPoolExecutor(6) as threads:
        calls = [threads.submit(deliver, worker, message_id) for message_id in rung]
        wait_until(lambda: sum(call.done() for call in calls) == 4)  # these put theirs off
        assert hooks.counts()["delivered"] == 0
        go.set()
    assert hooks.counts() == {"pending": 0, "delivered": 6, "exhausted": 0, "dropped": 0, "endpoints_disabled": 0}


def test_a_sender_that_fails_is_a_sender_no_more(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: str) -> None:
        raise DatabaseUnavailable

    worker = replace(harness.worker("io"), senders=Senders(1))
    with monkeypatch.context() as patch:
        patch.setattr(harness.services.webhooks, "claim", away)
        deliver(worker, "evt_1")
    assert worker.senders.begin("evt_2")
    assert not worker.senders.begin("evt_3")
    assert [worker.senders.next(), worker.senders.next()] == ["evt_3", None]
