"""The archive lane: what is `low` has what is left over, takes turns within it, and leaves it in time."""

from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.tables.jobs import Job
from infra.database.tables.shares import WaitingWork
from infra.jobs.store import NewJob, QueuePlace
from infra.keys.accounts import Accounts
from infra.keys.tiers import LOW
from tests.contracts.job_store_harness import JobStoreHarness
from tests.contracts.test_fair_order import claimed, cut, order, recording, tenant


def clock(harness: JobStoreHarness) -> float:
    with harness.database.read() as session:
        return read_clock(session)


def test_a_clip_of_another_account_is_before_any_further_chunk_of_an_archive(harness: JobStoreHarness) -> None:
    """However much less its account was served before, and however short the archive's pieces are."""
    archive, other = tenant(harness, "enterprise"), tenant(harness, "free")
    cut(other, recording(other, 1200), 40)
    order(harness, 20)
    for _ in range(3):
        cut(archive, recording(archive, 60, priority=LOW), 6, seconds=1)
    for _ in range(5):
        recording(other, 3)
    served = [claimed(harness).job.account_id for _ in range(25 + 18)]
    assert served == [other.account] * 25 + [archive.account] * 18
    harness.check_queue()


def test_an_account_that_heard_its_archive_owes_nothing_for_it(harness: JobStoreHarness) -> None:
    archive, other = tenant(harness), tenant(harness)
    cut(archive, recording(archive, 1200, priority=LOW), 40)
    order(harness, 30)
    cut(archive, recording(archive, 300), 10)
    cut(other, recording(other, 300), 10)
    served = [claimed(harness).job.account_id for _ in range(10)]
    assert served.count(archive.account) == 5


def test_archives_take_turns_by_seconds_of_sound(harness: JobStoreHarness) -> None:
    one, two = tenant(harness), tenant(harness)
    cut(one, recording(one, 1200, priority=LOW), 40)
    order(harness, 10)
    cut(two, recording(two, 600, priority=LOW), 20)
    served = [claimed(harness).job.account_id for _ in range(10)]
    assert served[0] == two.account
    assert served.count(one.account) == 5


def test_a_worker_finds_an_archive_when_nothing_else_waits(harness: JobStoreHarness) -> None:
    archive = recording(harness, 30, priority=LOW)
    later = recording(harness, 3)
    harness.shift(later, run_at=clock(harness) + 3600)
    assert harness.jobs.due() == {"cpu": 1, "io": 0}
    assert order(harness, 1) == [(archive.id, None)]
    assert harness.jobs.claim_next("cpu", "w") is None


@pytest.mark.parametrize(
    ("age", "left", "rises"), [(100, 400, False), (301, 99, True), (10, 50, True), (10, 5000, False)]
)
def test_complete_by_lets_a_job_rise_in_time(harness: JobStoreHarness, age: int, left: int, rises: bool) -> None:
    """In the last quarter of its time, or with less than twice its 30 s left; and all that waits of it rises."""
    time = clock(harness)
    job = recording(harness, 30, priority=LOW, complete_by=time + left)
    cut(harness, job, 3, seconds=10)
    harness.shift(job, created_at=time - age)
    assert harness.jobs.raise_due() == ([job.id] if rises else [])
    assert harness.jobs.raise_due() == []
    with harness.database.read() as session:
        ranks = set(session.scalars(select(col(WaitingWork.rank))))
    assert ranks == ({0} if rises else {10})
    assert harness.now(job).priority == (0 if rises else LOW)
    assert ("raised" in harness.timeline(job)) == rises
    harness.check_queue()


def test_a_batchs_jobs_rise_together(harness: JobStoreHarness) -> None:
    def line(batch: str, priority: int) -> Job:
        new = NewJob(
            account_id=harness.account, task="transcription", model="oracle", batch_id=batch, priority=priority
        )
        return harness.jobs.create(new)[0]

    mine, urgent, other = line("batch_1", LOW), line("batch_1", 5), line("batch_2", LOW)
    assert harness.jobs.raise_batch("batch_1") == [mine.id]
    assert [harness.now(job).priority for job in (mine, urgent, other)] == [0, 5, LOW]


def test_the_place_in_the_queue_tells_the_lane(harness: JobStoreHarness) -> None:
    one, two = (replace(harness, account=Accounts(harness.database).create_account("t", "enterprise").id) for _ in "12")
    archive, clip = recording(one, 60, priority=LOW), recording(two, 11)
    cost_of_clip, cost_of_archive = 1000 + 11_000 + 550, 1000 + 60_000 + 3000
    later = recording(one, 90, priority=LOW)

    def place(owner: JobStoreHarness, job: Job) -> QueuePlace | None:
        return owner.jobs.places(owner.account, [harness.now(job)]).get(job.id)

    assert place(two, clip) == QueuePlace("cpu", 0, None), "no archive is before it"
    assert place(one, archive) == QueuePlace("archive", cost_of_clip, None)
    assert place(one, later) == QueuePlace("archive", cost_of_clip + cost_of_archive, None)
