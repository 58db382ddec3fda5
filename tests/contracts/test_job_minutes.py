"""A job's minutes and its place among the live ones, on both databases."""

import pytest

from infra.jobs.store import NewJob
from infra.keys.accounts import Accounts
from infra.money.quota import MINUTE, Quota
from pipeline.errors import BeyondLimit, LimitExceeded, QuotaExceeded
from tests.contracts.job_store_harness import ERROR, JobStoreHarness, span

SECOND = 1000  # ms; the harness' chunks are a second long


@pytest.fixture
def free(harness: JobStoreHarness) -> JobStoreHarness:
    """An account of one minute a day and two live jobs."""
    Accounts(harness.database).update(
        harness.account, limits={"transcription_minutes_per_day": 1, "concurrent_jobs": 2}
    )
    return harness


def used(harness: JobStoreHarness) -> int:
    return Quota(harness.database).used_today(harness.account)


def test_a_job_takes_what_it_is_sure_of_and_counts_what_it_heard(free: JobStoreHarness) -> None:
    job = free.submit(known_ms=10 * SECOND)
    assert used(free) == 10 * SECOND
    lease = free.claim(job)
    free.cut(job, 2, lease)
    assert used(free) == 10 * SECOND
    for idx in range(2):
        free.jobs.complete_chunk(free.claim_chunk(job, idx), "key")
    free.jobs.cancel(free.account, job.id)
    assert used(free) == 2 * SECOND


def test_what_turns_out_longer_is_taken_before_it_is_heard(free: JobStoreHarness) -> None:
    job = free.submit()
    assert used(free) == 1
    lease = free.claim(job)
    for idx in range(3):
        free.jobs.add_chunk(lease, idx, span(idx), f"sound{idx}")
        assert used(free) == (idx + 1) * SECOND
    with pytest.raises(BeyondLimit, match=r"takes 1\.02 minutes"):
        free.jobs.cover(lease, 61 * 16_000)
    assert used(free) == 3 * SECOND


def test_failed_work_uses_no_minutes(free: JobStoreHarness) -> None:
    job = free.submit(known_ms=30 * SECOND)
    free.jobs.fail(free.claim(job), ERROR)
    assert used(free) == 0


def test_a_job_that_would_cross_the_day_is_refused_whole(free: JobStoreHarness) -> None:
    free.submit(known_ms=MINUTE - 1)
    with pytest.raises(QuotaExceeded):
        free.submit(known_ms=2)
    free.submit(known_ms=1)
    with pytest.raises(QuotaExceeded):
        free.submit()
    assert len(free.jobs.list(free.account)[0]) == 2


def test_a_third_live_job_waits_for_one_to_end(free: JobStoreHarness) -> None:
    first, _ = free.submit(), free.submit()
    with pytest.raises(LimitExceeded, match="2 live jobs"):
        free.submit()
    assert used(free) == 2  # the refused one took nothing
    free.jobs.cancel(free.account, first.id)
    third = free.submit()
    with pytest.raises(LimitExceeded):
        free.submit()
    free.jobs.fail(free.claim(third), ERROR)
    free.submit()
    with pytest.raises(LimitExceeded):
        free.jobs.retry(free.account, third.id)


def test_speech_uses_no_minutes(free: JobStoreHarness) -> None:
    free.jobs.create(NewJob(account_id=free.account, task="speech", model="oracle", input={"characters": 5}))
    assert used(free) == 0


def test_a_job_beyond_the_days_rest_goes_on_tomorrow(free: JobStoreHarness) -> None:
    other = free.submit(known_ms=50 * SECOND)
    job = free.submit()
    lease = free.claim(job)
    assert free.jobs.counts_minutes(lease)
    free.jobs.take_minutes(lease, 10 * SECOND)
    with pytest.raises(QuotaExceeded, match=r"takes 0\.20 minutes") as refused:
        free.jobs.take_minutes(lease, 12 * SECOND)
    told = refused.value.as_dict()
    assert told["retryable"]
    assert free.jobs.put_off(lease, told, told["retry_after"])
    waiting = free.now(job)
    assert (waiting.status, waiting.failures, waiting.run_at) == ("queued", 0, pytest.approx(told["retry_at"], abs=5))
    assert waiting.waiting == {
        "code": "limit_exceeded",
        "message": told["message"],
        "param": "transcription_minutes_per_day",
    }
    while (claimed := free.jobs.claim_next("cpu", "w")) is not None:
        assert claimed.lease.job_id != job.id
    assert used(free) == 50 * SECOND, "today counts nothing of it any more"
    free.shift(job, run_at=0)
    lease = free.claim(job)
    free.jobs.take_minutes(lease, 12 * SECOND)
    assert used(free) == 50 * SECOND, "what it takes now, tomorrow counts"
    free.jobs.cancel(free.account, job.id)
    free.jobs.cancel(free.account, other.id)
    assert used(free) == 0


def test_what_was_heard_before_a_job_was_put_off_stays_on_its_day(free: JobStoreHarness) -> None:
    job = free.submit()
    lease = free.claim(job)
    for idx in range(2):
        free.jobs.add_chunk(lease, idx, span(idx), f"sound{idx}")
    free.jobs.complete_chunk(free.claim_chunk(job, 0), "key")
    assert free.jobs.put_off(lease, ERROR, 3600)
    assert used(free) == SECOND
    assert free.now(job).status == "processing"
    free.jobs.complete_chunk(free.claim_chunk(job, 1), "key")
    free.jobs.cancel(free.account, job.id)
    assert used(free) == SECOND


def test_a_job_whose_deadline_comes_first_is_not_put_off(free: JobStoreHarness) -> None:
    job = free.submit(timeout_seconds=60)
    lease = free.claim(job)
    assert not free.jobs.put_off(lease, ERROR, 3600)
    assert free.now(job).status == "processing"
    assert free.jobs.put_off(lease, ERROR, 5)
