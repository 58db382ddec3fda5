"""The sweep's duties: what was never rung, what may be lost, what is left over."""

import logging
import threading

import pytest
from sqlmodel import select

from infra.database.tables import Erasure
from infra.jobs import Bell
from infra.wiring import Services
from pipeline.errors import DatabaseUnavailable
from pipeline.lifecycle import JobStatus
from tests.support.recordings import short
from tests.workers.conftest import Office
from workers import sweep
from workers.advance import advance
from workers.desk import StopTime
from workers.schedule import sweep_until


def test_what_was_never_rung_is_rung_once(office: Office) -> None:
    job_ids = {office.submit(short(number)) for number in range(3)}
    sweep.ring_new(office.services)
    sweep.ring_new(office.services)
    assert {bell[1] for bell in office.bells.rung} == job_ids
    assert len(office.bells.rung) == 3


def test_a_broker_that_is_away_marks_nothing_as_rung(office: Office) -> None:
    office.submit(short(1))
    office.bells.away = True
    sweep.Sweeper(office.services).perform(sweep.EVERY_SWEEP)
    office.bells.away = False
    sweep.ring_new(office.services)
    assert len(office.bells.rung) == 1


def test_a_lost_message_is_rung_again(office: Office) -> None:
    job_id = office.submit(short(1))
    office.services.jobs.mark_rung(Bell("job", job_id, None, "cpu"))
    threading.Event().wait(0.05)
    sweep.ring_again(office.services)
    assert office.bells.rung == [("cpu", job_id)]


def test_a_long_backlog_is_not_doubled(office: Office) -> None:
    for number in range(5):
        office.submit(short(number))
    sweep.ring_new(office.services)
    threading.Event().wait(0.05)
    for _ in range(3):
        sweep.ring_again(office.services)
    assert len(office.bells.rung) == 5
    office.bells.rung.pop()
    sweep.ring_again(office.services)
    assert len(office.bells.rung) >= 5


def test_one_failing_duty_stops_no_other_and_is_told_once(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def sick(_: Services) -> None:
        raise DatabaseUnavailable()

    def buggy(_: Services) -> None:
        raise ZeroDivisionError

    def healthy(_: Services) -> None:
        done.append("done")

    sweeper = sweep.Sweeper(office.services)
    for _ in range(3):
        sweeper.perform((sick, buggy, healthy))
    assert len(done) == 3
    assert [record.getMessage() for record in caplog.records if "sick" in record.getMessage()] == [
        "sick fails: The database did not answer."
    ]
    assert b'sweeper_failures_total{duty="sick"} 3.0' in office.services.metrics.render(
        office.services.jobs, office.services.queue, office.services.webhooks, office.services.workers
    )


def test_a_duty_that_works_again_says_so(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    office.submit(short(1))
    sweeper = sweep.Sweeper(office.services)
    office.bells.away = True
    sweeper.perform((sweep.ring_new,))
    office.bells.away = False
    sweeper.perform((sweep.ring_new,))
    assert "ring_new works again" in caplog.text


def test_every_duty_of_the_minute_works_on_an_empty_house(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    sweep.Sweeper(office.services).perform(sweep.EVERY_SWEEP + sweep.EVERY_MINUTE + sweep.EVERY_NIGHT)
    assert "fails" not in caplog.text


@pytest.mark.processes
def test_a_job_past_its_time_leaves_nothing_in_storage(office: Office) -> None:
    job_id = office.submit(short(1), retention_seconds=0.01)
    advance(office.desk(), job_id)
    assert office.job(job_id).status == JobStatus.COMPLETED
    threading.Event().wait(0.05)
    sweep.purge(office.services)
    assert not office.stored(f"jobs/{job_id}")


@pytest.mark.processes
def test_what_a_deleted_job_left_behind_is_erased(office: Office) -> None:
    job_id = office.submit(short(1))
    advance(office.desk(), job_id)
    office.services.jobs.delete(office.account, job_id)
    with office.services.database.write() as session:
        for erasure in session.scalars(select(Erasure)):
            erasure.due_at = 0.0  # it waits for writes that may still be on their way
    sweep.erase(office.services)
    assert not office.stored()
    assert not office.services.jobs.to_erase()


def test_the_scheduler_sweeps_until_it_is_told_to_stop(office: Office) -> None:
    stop = threading.Event()
    job_id = office.submit(short(1))
    thread = threading.Thread(target=sweep_until, args=(office.desk("scheduler"), stop))
    thread.start()
    try:
        while not office.bells.rung:
            threading.Event().wait(0.02)
    finally:
        stop.set()
        thread.join(5)
    assert office.bells.rung == [("cpu", job_id)]
    assert not thread.is_alive()


def test_the_first_stop_time_counts() -> None:
    stop_time = StopTime()
    assert stop_time.at() is None
    stop_time.set(10)
    first = stop_time.at()
    stop_time.set(99)
    assert stop_time.at() == first
