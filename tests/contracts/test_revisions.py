"""Corrections of a transcript, on both databases: numbered in order, none written over another, and gone with the job."""

import pytest

from infra.database.tables.jobs import Job
from infra.revisions.store import NewRevision, Revisions
from pipeline.errors import EditConflict, NotFound, WrongState
from tests.contracts.job_store_harness import JobStoreHarness


@pytest.fixture
def revisions(harness: JobStoreHarness) -> Revisions:
    return Revisions(harness.database)


@pytest.fixture
def job(harness: JobStoreHarness) -> Job:
    return harness.finish_short(harness.submit())


def key(job: Job, number: int) -> str:
    return f"t/{job.account_id}/jobs/{job.id}/{number}"


def new(job: Job, based_on: int) -> NewRevision:
    return NewRevision(
        based_on=based_on, result_key=key(job, 0), storage_key=key(job, based_on + 1), size=100, changes=1
    )


def test_they_are_numbered_and_none_is_written_over_another(
    harness: JobStoreHarness, revisions: Revisions, job: Job
) -> None:
    assert revisions.latest(job.id) is None
    made = [revisions.add(harness.account, job.id, new(job, based_on)) for based_on in (0, 1)]
    assert [one.n for one in made] == [1, 2]
    with pytest.raises(EditConflict) as conflict:
        revisions.add(harness.account, job.id, new(job, 1))
    assert conflict.value.details["current_revision"] == 2
    latest = revisions.latest(job.id)
    assert latest is not None and latest.storage_key == key(job, 2)
    assert revisions.get(job.id, 1).storage_key == key(job, 1)
    assert [one.n for one in revisions.all(job.id, after=1)] == [2]
    with pytest.raises(NotFound):
        revisions.get(job.id, 3)
    assert [event.data for event in harness.jobs.events(harness.account, job.id) if event.type == "edited"] == [
        {"revision": 1},
        {"revision": 2},
    ]


def test_only_what_has_ended_and_is_ones_own_can_be_corrected(harness: JobStoreHarness, revisions: Revisions) -> None:
    job = harness.submit()
    with pytest.raises(WrongState):
        revisions.add(harness.account, job.id, new(job, 0))
    with pytest.raises(NotFound):
        revisions.add("acct_of_nobody", job.id, new(job, 0))


def test_they_go_with_the_job(harness: JobStoreHarness, revisions: Revisions, job: Job) -> None:
    revisions.add(harness.account, job.id, new(job, 0))
    harness.jobs.delete(harness.account, job.id)
    assert revisions.latest(job.id) is None
