"""The sweep's duties: what was never dispatched, what may be lost, what is left over."""

import logging
import threading
import time

import pytest
from sqlmodel import select

from infra.database.tables import Erasure
from infra.jobs.store import Dispatch
from infra.wiring import Services
from pipeline.errors import DatabaseUnavailable
from pipeline.lifecycle import JobStatus
from tests.support.recordings import short
from tests.workers.conftest import WorkerHarness
from workers import sweep
from workers.schedule import sweep_until
from workers.steps.deliver import deliver, ring
from workers.steps.next_step import advance
from workers.worker_context import StopTime


def test_what_was_never_rung_is_rung_once(harness: WorkerHarness) -> None:
    job_ids = {harness.submit(short(number)) for number in range(3)}
    sweep.dispatch_new(harness.services)
    sweep.dispatch_new(harness.services)
    assert {message[1] for message in harness.messages.sent} == job_ids
    assert len(harness.messages.sent) == 3


def test_a_broker_that_is_away_marks_nothing_as_rung(harness: WorkerHarness) -> None:
    harness.submit(short(1))
    harness.messages.away = True
    sweep.Sweeper(harness.services).perform(sweep.EVERY_SWEEP)
    harness.messages.away = False
    sweep.dispatch_new(harness.services)
    assert len(harness.messages.sent) == 1


def test_a_lost_message_is_rung_again(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1))
    harness.services.jobs.mark_dispatched(Dispatch("job", job_id, None, "cpu"))
    threading.Event().wait(0.05)
    sweep.dispatch_again(harness.services)
    assert harness.messages.sent == [("cpu", job_id)]


def test_a_long_backlog_is_not_doubled(harness: WorkerHarness) -> None:
    for number in range(5):
        harness.submit(short(number))
    sweep.dispatch_new(harness.services)
    threading.Event().wait(0.05)
    for _ in range(3):
        sweep.dispatch_again(harness.services)
    assert len(harness.messages.sent) == 5
    harness.messages.sent.pop()
    sweep.dispatch_again(harness.services)
    assert len(harness.messages.sent) >= 5


def test_one_failing_duty_stops_no_other_and_is_told_once(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def sick(_: Services) -> None:
        raise DatabaseUnavailable()

    def buggy(_: Services) -> None:
        raise ZeroDivisionError

    def healthy(_: Services) -> None:
        done.append("done")

    sweeper = sweep.Sweeper(harness.services)
    for _ in range(3):
        sweeper.perform((sick, buggy, healthy))
    assert len(done) == 3
    assert [record.getMessage() for record in caplog.records if "sick" in record.getMessage()] == [
        "sick fails: The database did not answer."
    ]
    assert b'sweeper_failures_total{duty="sick"} 3.0' in harness.services.metrics.render(
        harness.services.jobs, harness.services.queue, harness.services.webhooks, harness.services.workers
    )


def test_a_duty_that_works_again_says_so(harness: WorkerHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    harness.submit(short(1))
    sweeper = sweep.Sweeper(harness.services)
    harness.messages.away = True
    sweeper.perform((sweep.dispatch_new,))
    harness.messages.away = False
    sweeper.perform((sweep.dispatch_new,))
    assert "dispatch_new works again" in caplog.text


def test_every_duty_of_the_minute_works_on_an_empty_house(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    sweep.Sweeper(harness.services).perform(sweep.EVERY_SWEEP + sweep.EVERY_MINUTE + sweep.EVERY_NIGHT)
    assert "fails" not in caplog.text


@pytest.mark.processes
def test_a_job_past_its_time_leaves_nothing_in_storage(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1), retention_seconds=0.01)
    advance(harness.worker(), job_id)
    assert harness.job(job_id).status == JobStatus.COMPLETED
    threading.Event().wait(0.05)
    sweep.purge(harness.services)
    assert not harness.stored(f"jobs/{job_id}")


@pytest.mark.processes
def test_what_a_deleted_job_left_behind_is_erased(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1))
    advance(harness.worker(), job_id)
    harness.services.jobs.delete(harness.account, job_id)
    with harness.services.database.write() as session:
        for erasure in session.scalars(select(Erasure)):
            erasure.due_at = 0.0  # it waits for writes that may still be on their way
    sweep.erase(harness.services)
    assert not harness.stored()
    assert not harness.services.jobs.to_erase()


def test_webhooks_that_nobody_takes_ring_once_however_often_the_sweep_passes(harness: WorkerHarness) -> None:
    hooks = harness.services.webhooks
    for n in range(20):
        endpoint = hooks.create_endpoint(harness.account, name=str(n), url="http://127.0.0.1:9/", event_types=[])
        for _ in range(4):
            hooks.send_test(harness.account, endpoint.id)
    for _ in range(10):
        sweep.deliver_due(harness.services)
        sweep.deliver_again(harness.services)
    rung = [message_id for _, message_id in harness.messages.sent]
    assert len(rung) == len(set(rung)) == 8, "an enterprise account's share"
    harness.messages.sent.clear()  # the broker has lost them
    time.sleep(harness.services.settings.redispatch_seconds)
    sweep.deliver_again(harness.services)
    assert sorted(message_id for _, message_id in harness.messages.sent) == sorted(rung)
    deliver(harness.worker("io"), rung[0])
    assert len(harness.messages.sent) == len(rung) + 1, "who is done makes room for one"


def test_webhooks_are_not_marked_as_rung_while_the_broker_is_away(harness: WorkerHarness) -> None:
    hooks = harness.services.webhooks
    endpoint = hooks.create_endpoint(harness.account, name="any", url="http://127.0.0.1:9/", event_types=[])
    message = hooks.send_test(harness.account, endpoint.id)
    harness.messages.away = True
    sweep.Sweeper(harness.services).perform((sweep.deliver_due, sweep.deliver_again))
    ring(harness.services, 2)
    assert hooks.rung() == 0
    harness.messages.away = False
    sweep.deliver_due(harness.services)
    assert harness.messages.sent == [("io", message.id)]


def test_the_scheduler_sweeps_until_it_is_told_to_stop(harness: WorkerHarness) -> None:
    stop = threading.Event()
    job_id = harness.submit(short(1))
    thread = threading.Thread(target=sweep_until, args=(harness.worker("scheduler"), stop))
    thread.start()
    try:
        while not harness.messages.sent:
            threading.Event().wait(0.02)
    finally:
        stop.set()
        thread.join(5)
    assert harness.messages.sent == [("cpu", job_id)]
    assert not thread.is_alive()


def test_the_first_stop_time_counts() -> None:
    stop_time = StopTime()
    assert stop_time.at() is None
    stop_time.set(10)
    first = stop_time.at()
    stop_time.set(99)
    assert stop_time.at() == first
