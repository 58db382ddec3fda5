"""The sweep's duties: what was never dispatched, what may be lost, what is left over."""

import logging
import threading
from collections.abc import Collection
from functools import partial

import pytest
from sqlmodel import col, select, update

from infra.database.tables.jobs import Job
from infra.database.tables.storage import Erasure
from infra.database.tables.webhooks import WebhookMessage
from infra.wiring import Services
from pipeline.errors import DatabaseUnavailable, StorageUnavailable
from pipeline.lifecycle import JobStatus
from tests.support.recordings import short
from tests.support.waiting import wait_until
from tests.workers.conftest import WorkerHarness
from workers import deletions, failure_policy, schedule, sweep
from workers.schedule import sweep_until
from workers.steps.deliver import deliver, ring
from workers.worker_context import StopTime


def test_a_message_for_each_piece_of_work_and_no_more(harness: WorkerHarness) -> None:
    for number in range(3):
        harness.submit(short(number))
    for _ in range(3):
        sweep.wake_workers(harness.services)
        assert harness.messages.sent == [("cpu", "")] * 3
    harness.messages.sent.pop()  # lost, or spent on what was not due
    sweep.wake_workers(harness.services)
    assert len(harness.messages.sent) == 3


def test_a_long_backlog_is_woken_for_bit_by_bit(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "WAKE_UPS", 2)
    for number in range(5):
        harness.submit(short(number))
    for _ in range(3):
        sweep.wake_workers(harness.services)
    assert len(harness.messages.sent) == 2


@pytest.mark.processes
def test_nobody_is_woken_for_what_is_not_due_or_has_no_place(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_policy, "FIRST_RETRY", 60.0)
    harness.submit(short(1), "fail=1")
    harness.work(most=1)  # it is to be tried again later
    for _ in range(3):
        harness.create(source={"url": "http://127.0.0.1:9/"}, input={"type": "url"}, queue="io")
    sweep.wake_workers(harness.services)
    assert harness.messages.sent == [("io", "")], "one download at a time, for all that is known of the io workers"
    assert harness.services.jobs.claim_next("io", "io@here:1") is not None
    harness.messages.sent.clear()
    sweep.wake_workers(harness.services)
    assert harness.messages.sent == []


def test_a_broker_that_is_away_loses_nothing(harness: WorkerHarness) -> None:
    harness.submit(short(1))
    harness.messages.away = True
    sweep.Sweeper(harness.services).perform(sweep.EVERY_SWEEP)
    harness.messages.away = False
    sweep.wake_workers(harness.services)
    assert len(harness.messages.sent) == 1


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
    sweeper.perform((sweep.wake_workers,))
    harness.messages.away = False
    sweeper.perform((sweep.wake_workers,))
    assert "wake_workers works again" in caplog.text


def test_work_without_a_worker_is_told_of_until_one_comes(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweep, "ALIVE_SECONDS", -3600.0)  # everything has waited long enough, and nobody lives
    job = harness.submit(short(1))
    sweeper = sweep.Sweeper(harness.services)
    for _ in range(2):
        sweeper.perform((sweep.miss_workers,))
        assert harness.job(job).stage == "waiting_for_worker"
    warnings = [record.getMessage() for record in caplog.records if "miss_workers" in record.getMessage()]
    assert [warning.rpartition(": ")[2] for warning in warnings] == ["start `stenopool worker --role cpu`"]
    monkeypatch.setattr(sweep, "ALIVE_SECONDS", 3600.0)
    sweeper.perform((sweep.miss_workers,))
    assert harness.job(job).stage == "waiting"


def test_every_duty_of_the_minute_works_on_an_empty_house(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    sweep.Sweeper(harness.services).perform(
        sweep.EVERY_SWEEP + sweep.BESIDE_IT + sweep.CLEANING + sweep.EVERY_MINUTE + sweep.EVERY_NIGHT
    )
    assert "fails" not in caplog.text


@pytest.mark.processes
def test_a_job_past_its_time_leaves_nothing_in_storage(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1), retention_seconds=0)
    harness.work(most=1)
    assert harness.job(job_id).status == JobStatus.COMPLETED
    sweep.Sweeper(harness.services).perform(sweep.CLEANING)
    assert not harness.stored(f"jobs/{job_id}")


@pytest.mark.processes
def test_what_a_deleted_job_left_behind_is_erased(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1))
    harness.work(most=1)
    harness.services.jobs.delete(harness.account, job_id)
    with harness.services.database.write() as session:
        for erasure in session.scalars(select(Erasure)):
            erasure.due_at = 0.0  # it waits for writes that may still be on their way
    deletions.erase(harness.services)
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
    with harness.services.database.write() as session:
        session.execute(update(WebhookMessage).where(col(WebhookMessage.id).in_(rung)).values(dispatched_at=1.0))
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
    assert harness.messages.sent == [("webhooks", message.id)]


def test_the_scheduler_sweeps_until_it_is_told_to_stop(harness: WorkerHarness) -> None:
    stop = threading.Event()
    harness.submit(short(1))
    thread = threading.Thread(target=sweep_until, args=(harness.worker("scheduler"), stop))
    thread.start()
    try:
        wait_until(lambda: harness.messages.sent)
    finally:
        stop.set()
        thread.join(60)
    assert harness.messages.sent[0] == ("cpu", "")
    assert not thread.is_alive()


def test_what_has_to_be_gone_waits_for_no_other_duty(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def endless(_: Services) -> None:
        stop.wait(60)

    for lane in ("EVERY_SWEEP", "EVERY_MINUTE", "EVERY_NIGHT"):
        monkeypatch.setattr(schedule, lane, (endless,))
    monkeypatch.setattr(schedule, "CLEANING_SECONDS", 0.05)
    job_id = harness.submit(short(1), retention_seconds=0)
    harness.services.jobs.cancel(harness.account, job_id)
    thread = threading.Thread(target=sweep_until, args=(harness.worker("scheduler"), stop))
    thread.start()
    try:
        wait_until(lambda: harness.job(job_id).purged_at is not None and not harness.stored())
    finally:
        stop.set()
        thread.join(60)


def test_a_duty_that_takes_its_time_keeps_no_other_from_theirs(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, free, passes = threading.Event(), threading.Event(), []
    left = [True, True, False]

    def slow(_: Services) -> None:
        free.wait(60)

    def much(_: Services) -> bool:
        return left.pop(0)

    def quick(_: Services) -> None:
        passes.append("pass")

    monkeypatch.setattr(schedule, "EVERY_MINUTE", (slow, much))
    monkeypatch.setattr(schedule, "EVERY_SWEEP", (quick,))
    thread = threading.Thread(target=sweep_until, args=(harness.worker("scheduler"), stop))
    thread.start()
    try:
        wait_until(lambda: len(passes) > 1 and not left)
    finally:
        free.set()
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_recordings_are_deleted_many_at_once(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    services, sizes = harness.services, list[int]()
    kept = [services.media.begin(harness.account, f"{number}.wav") for number in range(30)]
    for media in kept:
        services.storage.put(media.storage_key, b"some")
        services.media.stored(media.id, 4, "ab" * 20)
    delete = services.storage.delete
    monkeypatch.setattr(deletions, "UPLOAD_GIVEN_UP", -1.0)
    monkeypatch.setattr(deletions, "AT_ONCE", 20)
    monkeypatch.setattr(services.storage, "delete", lambda *keys: sizes.append(len(keys)) or delete(*keys))
    assert deletions.drop_media(services) is True, "there is more"
    assert deletions.drop_media(services) is False
    assert sizes == [20, 10]
    assert harness.stored() == []


def test_one_that_resists_keeps_no_other(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    services = harness.services
    kept = [services.media.begin(harness.account, f"{number}.wav") for number in range(5)]
    for media in kept:
        services.storage.put(media.storage_key, b"some")
    delete, bad = services.storage.delete, kept[2].storage_key

    def resisting(*keys: str) -> None:
        if bad in keys:
            raise StorageUnavailable
        delete(*keys)

    monkeypatch.setattr(deletions, "UPLOAD_GIVEN_UP", -1.0)
    monkeypatch.setattr(services.storage, "delete", resisting)
    deletions.drop_media(services)
    assert harness.stored() == [f"media/{kept[2].id}"]


def test_a_job_that_cannot_be_purged_keeps_no_other(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [harness.create(retention_seconds=0) for _ in range(5)]
    for job in jobs:
        harness.services.jobs.cancel(harness.account, job)
    purged = harness.services.jobs.purged

    def resisting(job_ids: Collection[str]) -> set[str]:
        if jobs[2] in job_ids:
            raise DatabaseUnavailable
        return purged(job_ids)

    monkeypatch.setattr(harness.services.jobs, "purged", resisting)
    assert deletions.purge(harness.services) is False, "what resists is no reason to go on at once"
    assert [job for job in jobs if harness.job(job).purged_at is None] == [jobs[2]]


def test_a_purge_of_very_many_is_gone_on_with_at_once(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletions, "BATCHES", 2)
    due = harness.services.jobs.due_for_purge
    monkeypatch.setattr(harness.services.jobs, "due_for_purge", partial(due, 2))
    jobs = [harness.create(retention_seconds=0) for _ in range(5)]
    for job in jobs:
        harness.services.jobs.cancel(harness.account, job)
    assert deletions.purge(harness.services) is True
    assert len([job for job in jobs if harness.job(job).purged_at is None]) == 1
    assert deletions.purge(harness.services) is False
    assert all(harness.job(job).purged_at for job in jobs)


def test_the_first_stop_time_counts() -> None:
    stop_time = StopTime()
    assert stop_time.at() is None
    stop_time.set(10)
    first = stop_time.at()
    stop_time.set(99)
    assert stop_time.at() == first


@pytest.mark.parametrize("broker_is_away", [False, True])
def test_a_worker_that_cannot_reach_the_database_keeps_its_work(harness: WorkerHarness, broker_is_away: bool) -> None:
    """As long as it says elsewhere that it lives; what cannot be asked for is no excuse."""
    jobs = harness.services.jobs
    for number in range(2):
        harness.submit(short(number))
    held = [jobs.claim_next("cpu", worker) for worker in ("cpu@cut-off:1", "cpu@dead:2")]
    with harness.services.database.write() as session:
        session.execute(update(Job).values(lease_until=1.0))
    harness.messages.cut_off, harness.messages.away = {"cpu@cut-off:1"}, broker_is_away
    sweep.rescue(harness.services)
    lost = [harness.job(claimed.job.id).lost for claimed in held if claimed]
    assert lost == ([1, 1] if broker_is_away else [0, 1])
