"""The scheduler's duties that keep an installation from growing."""

import os

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry
from infra.database.tables.storage import StorageSweep
from infra.housekeeping import record_purge
from tests.support.recordings import short
from tests.workers.conftest import WorkerHarness
from workers import housekeeping, sweep
from workers.sweep import Sweeper

LONG_AGO = 1_000_000_000.0


def put_lost(harness: WorkerHarness) -> str:
    key = f"t/{harness.account}/media/med_lost"
    harness.services.storage.put(key, b"x")
    path = harness.services.settings.home / "storage" / key
    os.utime(path, (LONG_AGO, LONG_AGO))
    return key


def test_a_page_of_the_store_is_swept_and_then_it_rests(harness: WorkerHarness) -> None:
    harness.submit(short(1))
    key = put_lost(harness)
    Sweeper(harness.services).perform(sweep.EVERY_MINUTE)
    assert harness.services.storage.size(key) is None
    assert harness.services.metrics.orphans._value.get() == 1
    put_lost(harness)
    Sweeper(harness.services).perform(sweep.EVERY_MINUTE)
    assert harness.services.storage.size(key) == 1
    with harness.services.database.write() as session:
        session.execute(update(StorageSweep).values(next_at=0.0))
    Sweeper(harness.services).perform(sweep.EVERY_MINUTE)
    assert harness.services.storage.size(key) is None


@pytest.mark.processes
def test_jobs_of_long_ago_are_forgotten(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1), retention_seconds=0)
    harness.work(most=1)
    Sweeper(harness.services).perform((*sweep.CLEANING, *sweep.EVERY_MINUTE))
    assert harness.job(job_id).purged_at
    with harness.services.database.write() as session:
        session.execute(update(Job).where(col(Job.id) == job_id).values(purged_at=LONG_AGO))
    Sweeper(harness.services).perform(sweep.EVERY_MINUTE)
    assert harness.services.jobs.find(job_id) is None


def test_a_long_backlog_is_gone_on_with_at_once(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "STEPS", 2)
    monkeypatch.setattr(record_purge, "AT_ONCE", 2)
    jobs = [harness.create() for _ in range(5)]
    with harness.services.database.write() as session:
        session.execute(update(Job).values(status="failed", purged_at=LONG_AGO, cleared=True, kept=False))
    assert housekeeping.forget_records(harness.services) is True
    assert len([job for job in jobs if harness.services.jobs.find(job)]) == 1
    assert housekeeping.forget_records(harness.services) is False
    assert not any(harness.services.jobs.find(job) for job in jobs)


def test_the_ledger_is_left_as_it_is_unless_its_owner_wants_otherwise(harness: WorkerHarness) -> None:
    ledger = harness.services.ledger
    for number in range(3):
        ledger.hold(harness.account, f"req_{number}", 10)
        ledger.release(f"req_{number}")
    with harness.services.database.write() as session:
        session.execute(update(LedgerEntry).values(at=LONG_AGO))
    housekeeping.compact_ledger(harness.services)
    assert kinds(harness).count("hold") == 3
    harness.services.settings = harness.services.settings.model_copy(update={"ledger_retention_seconds": 3600})
    housekeeping.compact_ledger(harness.services)
    assert {"hold", "release"} & set(kinds(harness)) == set()
    assert kinds(harness).count("opening") == 1
    assert ledger.check() == []


def kinds(harness: WorkerHarness) -> list[str]:
    with harness.services.database.read() as session:
        return list(session.scalars(select(LedgerEntry.kind)))
