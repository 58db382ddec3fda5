"""What was handed out of a job is paid, once, whatever becomes of it; what was not is free."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.database.tables.jobs import Job
from infra.jobs.store import NewJob
from infra.keys.accounts import Accounts
from infra.money.job_money import Terms
from infra.money.ledger import Ledger
from infra.money.quota import Quota
from infra.money.receipts import Receipts
from pipeline.errors import Expired, InsufficientBalance, PaymentRequired, QuotaExceeded, WrongState
from pipeline.pricing import Usage
from pipeline.transcript import TokenUsage
from tests.contracts.job_prices import MINUTE, SECOND, TOKENS, spent
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span


def heard(harness: JobStoreHarness, *chunks: int, of: int = 4, **given: object) -> Job:
    """A job of so many seconds, of which these are heard."""
    job = harness.submit(terms=Terms(prices=MINUTE, audio_ms=1000 * of), **given)
    harness.cut(job, of)
    for idx in chunks:
        harness.hear(job, idx)
    return job


def fail(harness: JobStoreHarness, job: Job, idx: int) -> None:
    harness.break_chunk(job, idx)
    assert harness.now(job).status == "failed"


def read(harness: JobStoreHarness, job: Job, *chunks: int) -> None:
    harness.jobs.hand_out(harness.account, job.id, chunks)


def pay(harness: JobStoreHarness, job: Job) -> Job:
    return harness.jobs.pay(harness.account, job.id)


def cost(harness: JobStoreHarness, job: Job) -> tuple[int, int] | None:
    """(micro-dollars, ms) of its receipt."""
    receipt = Receipts(harness.database).of(job.id)
    return (receipt.cost, receipt.audio_ms) if receipt else None


def test_a_failed_job_pays_for_what_was_read_while_it_ran(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0, 1, 2)
    for _ in range(2):
        read(harness, job, 0, 1)
    fail(harness, job, 3)
    assert spent(ledger, harness) == 2 * SECOND
    assert (harness.now(job).held_micro, harness.now(job).captured_micro) == (0, 2 * SECOND)
    assert cost(harness, job) == (200, 2000)
    read(harness, job, 0, 1)
    assert spent(ledger, harness) == 2 * SECOND


def test_a_job_that_runs_out_of_time_likewise(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0, 1, timeout_seconds=3600)
    read(harness, job, 0)
    harness.shift(job, deadline_at=1.0)
    assert harness.jobs.expire_overdue() == [job.id]
    assert spent(ledger, harness) == SECOND
    pay(harness, job)
    assert spent(ledger, harness) == 2 * SECOND


def test_unread_text_of_a_failed_job_is_free_until_it_is_taken(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0, 1, 2)
    read(harness, job, 0)
    fail(harness, job, 3)
    with pytest.raises(PaymentRequired, match=rf"costs 0\.0002 USD.*POST /v1/audio/jobs/{job.id}/pay") as refused:
        read(harness, job, 0, 1)
    assert refused.value.details == {"price": 0.0002}
    assert spent(ledger, harness) == SECOND
    version = harness.now(job).version
    for _ in range(2):
        paid = pay(harness, job)
        assert (paid.captured_micro, paid.held_micro, paid.version) == (3 * SECOND, 0, version + 1)
        assert spent(ledger, harness) == 3 * SECOND
        read(harness, job, 0, 1, 2)
    assert cost(harness, job) == (300, 3000)


def test_without_money_for_it_nothing_happens(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0, 1)
    fail(harness, job, 2)
    ledger.adjust(harness.account, -99 * SECOND)
    before = harness.now(job)
    with pytest.raises(InsufficientBalance):
        pay(harness, job)
    assert harness.now(job) == before
    with pytest.raises(PaymentRequired):
        read(harness, job, 1)
    assert ledger.check() == []


def test_only_what_can_be_read_has_a_price(harness: JobStoreHarness, ledger: Ledger) -> None:
    """Text is read in order: what was heard behind the first chunk that was not, is nobody's."""
    job = heard(harness, 0, 3)
    fail(harness, job, 2)
    assert pay(harness, job).captured_micro == SECOND
    assert spent(ledger, harness) == SECOND
    for given in ({"channels": "separate"}, {"audio_track": "all"}):
        apart = heard(harness, 0, request=given)
        fail(harness, apart, 1)
        assert pay(harness, apart).captured_micro == 0
    assert spent(ledger, harness) == SECOND


def test_a_retry_charges_for_nothing_twice(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0, 1, 2)
    read(harness, job, 0)
    fail(harness, job, 3)
    pay(harness, job)
    harness.jobs.retry(harness.account, job.id)
    assert spent(ledger, harness) == 4 * SECOND  # what was paid, and the hold for the rest
    harness.cut(job, 4)
    harness.hear(job, 3)
    assert harness.finish(job).captured_micro == spent(ledger, harness) == 4 * SECOND


def test_what_an_earlier_run_heard_and_a_later_one_hands_out_is_paid_by_that(
    harness: JobStoreHarness, ledger: Ledger
) -> None:
    job = heard(harness, 0, 1)
    fail(harness, job, 2)
    assert spent(ledger, harness) == 0
    harness.jobs.retry(harness.account, job.id)
    read(harness, job, 0, 1)
    harness.jobs.fail(harness.claim(job), ERROR)
    assert spent(ledger, harness) == 2 * SECOND
    assert cost(harness, job) == (200, 2000)


def test_a_partial_result_that_was_delivered_stays_paid(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0, 1, request={"on_chunk_failure": "partial"})
    harness.break_chunk(job, 2)
    harness.break_chunk(job, 3)
    harness.finish(job)
    assert spent(ledger, harness) == 2 * SECOND
    harness.jobs.retry(harness.account, job.id)
    harness.jobs.fail(harness.claim(job), ERROR)
    assert spent(ledger, harness) == 2 * SECOND
    read(harness, job, 0, 1)


def test_a_chunk_that_is_heard_anew_is_unread(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0)
    read(harness, job, 0)
    fail(harness, job, 1)
    harness.jobs.retry(harness.account, job.id)
    lease = harness.claim(job)
    longer = {**span(0), "own_end": 2 * CHUNK}  # cut otherwise
    assert harness.jobs.add_chunk(lease, 0, longer, "sound/again", samples=2 * CHUNK)
    harness.hear(job, 0)
    harness.jobs.fail(lease, ERROR)
    assert spent(ledger, harness) == SECOND
    with pytest.raises(PaymentRequired) as refused:
        read(harness, job, 0)
    assert refused.value.details == {"price": 0.0001}


def test_who_reads_while_it_fails_pays_or_is_told_the_price(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, *range(8), of=9)
    lease = harness.claim_chunk(job, 8)

    def act(idx: int) -> int | None:
        if idx == 8:
            harness.jobs.fail_chunk(lease, ERROR)
            return None
        try:
            read(harness, job, idx)
        except PaymentRequired:
            return None
        return idx

    with ThreadPoolExecutor(9) as threads:
        got = set(threads.map(act, (0, 1, 2, 3, 8, 4, 5, 6, 7))) - {None}
    assert got == {chunk.idx for chunk in harness.jobs.chunks(job.id) if chunk.handed_out}
    assert spent(ledger, harness) == len(got) * SECOND == harness.now(job).captured_micro


def test_tokens_are_those_of_the_chunks_that_were_read(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=Terms(prices=TOKENS, audio_ms=3000))
    harness.cut(job, 3)
    for idx in range(2):
        used = Usage(audio_ms=1000, tokens=TokenUsage(audio_in=10, text_out=4 + idx), counted="provider")
        harness.jobs.complete_chunk(harness.claim_chunk(job, idx), f"heard/{idx}", "oracle", used)
    read(harness, job, 1)
    fail(harness, job, 2)
    assert spent(ledger, harness) == 60 + 50
    assert pay(harness, job).captured_micro == spent(ledger, harness) == 120 + 90


def test_nobody_pays_more_than_the_most_that_was_agreed(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=Terms(prices=MINUTE, audio_ms=2000, max_cost_micro=2 * SECOND))
    harness.cut(job, 2)
    harness.hear(job, 0)
    fail(harness, job, 1)
    harness.shift(job, max_cost_micro=SECOND // 2)
    assert pay(harness, job).captured_micro == spent(ledger, harness) == SECOND // 2


def test_who_has_nothing_to_pay_is_told(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = heard(harness, 0)
    with pytest.raises(WrongState) as refused:
        pay(harness, job)
    assert refused.value.details["allowed_statuses"] == ["expired", "failed"]
    fail(harness, job, 1)
    harness.shift(job, purged_at=1.0)
    with pytest.raises(Expired):
        pay(harness, job)
    assert spent(ledger, harness) == 0


def test_what_is_free_counts_minutes_when_it_is_handed_out(harness: JobStoreHarness) -> None:
    """While it runs, or after it has failed: then without being asked for, as long as the day has room."""
    Accounts(harness.database).update(harness.account, limits={"transcription_minutes_per_day": 1})
    quota = Quota(harness.database)

    def free() -> Job:
        new = NewJob(account_id=harness.account, task="transcription", model="oracle", known_ms=4000)
        job, _ = harness.jobs.create(new)
        harness.cut(job, 4)
        for idx in range(3):
            harness.hear(job, idx)
        return job

    job = free()
    read(harness, job, 0)
    fail(harness, job, 3)
    assert quota.used_today(harness.account) == 1000
    read(harness, job, 1)
    assert quota.used_today(harness.account) == 3000
    other = free()
    fail(harness, other, 3)
    assert quota.used_today(harness.account) == 3000
    harness.jobs.create(NewJob(account_id=harness.account, task="transcription", model="oracle", known_ms=56_000))
    with pytest.raises(QuotaExceeded):
        read(harness, other, 0)
    assert quota.used_today(harness.account) == 59_000
