"""The money of jobs: held with the row, captured with each chunk, settled with the end."""

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from infra.database.tables.jobs import Job
from infra.idempotency import Idempotency
from infra.jobs.store import Finished, HeardChunk, NewJob
from infra.keys.accounts import Accounts
from infra.money.job_money import PARTS, Terms, cost_facts
from infra.money.ledger import Ledger
from infra.money.receipts import Receipts
from pipeline.catalog.model import Prices
from pipeline.errors import (
    CostLimitExceeded,
    InputMissing,
    InsufficientBalance,
    LeaseLost,
    LimitExceeded,
    ProviderUnavailable,
)
from pipeline.lifecycle import Dependency, JobStatus
from pipeline.pricing import Usage
from pipeline.transcript import TokenUsage
from tests.contracts.job_prices import MINUTE, SECOND, TOKENS, spent
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span


def terms(seconds: float, **more: Any) -> Terms:
    return Terms(**{"prices": MINUTE, "audio_ms": round(1000 * seconds), **more})


def statements(ledger: Ledger, job: Job) -> list[tuple[str, int, int]]:
    """(kind, part, amount) of a job, the oldest first."""
    mine = [row for row in ledger.entries(job.account_id) if row.subject == job.id]
    return [(row.kind, row.part, row.amount) for row in mine][::-1]


def test_each_chunk_captures_its_own_seconds(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(3.5), webhook_url="https://example.com")
    assert spent(ledger, harness) == 350
    assert cost_facts(job) == {"currency": "usd", "estimated": 0.00035, "held": 0.00035, "captured": 0.0}
    harness.cut(job, 3)
    for idx in (2, 0, 1):
        harness.hear(job, idx)
    assert cost_facts(harness.now(job)) == {
        "currency": "usd",
        "estimated": 0.00035,
        "held": 0.00005,
        "captured": 0.0003,
    }
    done = harness.finish(job)
    assert (done.held_micro, done.captured_micro, spent(ledger, harness)) == (0, 300, 300)
    assert statements(ledger, job) == [
        ("hold", 0, 350),
        ("capture", 2, 100),
        ("capture", 0, 100),
        ("capture", 1, 100),
        ("release", 0, 50),
    ]
    receipt = Receipts(harness.database).of(job.id)
    assert receipt is not None
    assert (receipt.cost, receipt.audio_ms, receipt.model, receipt.counted) == (300, 3000, "oracle", "measured")
    (message,) = harness.messages(job)
    assert json.loads(message.body)["data"]["cost"] == cost_facts(done)


def test_a_job_that_cannot_be_paid_is_not_made(harness: JobStoreHarness, ledger: Ledger) -> None:
    with pytest.raises(InsufficientBalance):
        harness.submit(terms=terms(101), media=harness.upload())
    assert harness.rows(Job) == 0
    assert spent(ledger, harness) == 0
    harness.submit(terms=terms(100))
    assert spent(ledger, harness) == 100 * SECOND


def test_what_is_free_leaves_no_trace_in_the_ledger(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.finish_short(harness.submit())
    assert statements(ledger, job) == []
    receipt = Receipts(harness.database).of(job.id)
    assert receipt is not None
    assert (receipt.cost, receipt.audio_ms) == (0, 1000)


def test_sixty_four_creations_with_money_for_ten(harness: JobStoreHarness, ledger: Ledger) -> None:
    def create(_: int) -> bool:
        try:
            harness.submit(terms=terms(10))
        except InsufficientBalance:
            return False
        return True

    with ThreadPoolExecutor(64) as threads:
        made = list(threads.map(create, range(64)))
    assert (made.count(True), harness.rows(Job)) == (10, 10)
    assert spent(ledger, harness) == 100 * SECOND


def test_sixty_four_creations_of_an_account_that_may_have_twelve_jobs(harness: JobStoreHarness) -> None:
    """Who counts its jobs must not wait for somebody who waits in turn to count them."""
    account = Accounts(harness.database).create_account("busy", "pro", limits={"concurrent_jobs": 12}).id
    Ledger(harness.database).top_up(account, 100 * SECOND)

    def create(_: int) -> bool:
        try:
            harness.jobs.create(NewJob(account_id=account, task="transcription", model="oracle", terms=terms(1)))
        except LimitExceeded:
            return False
        return True

    with ThreadPoolExecutor(40) as threads:
        assert list(threads.map(create, range(64))).count(True) == 12
    assert Ledger(harness.database).balance(account) == 88 * SECOND
    assert Ledger(harness.database).check() == []


def test_fifty_creations_with_one_key_are_one_job_and_one_hold(harness: JobStoreHarness, ledger: Ledger) -> None:
    """With money for one of them, too: nobody is told that it is used up by his own other try."""
    new = NewJob(account_id=harness.account, task="transcription", model="oracle", terms=terms(100))
    once = Idempotency("POST /jobs", "key", "same", lambda job: {"id": job.id})
    with ThreadPoolExecutor(50) as threads:
        made = list(threads.map(lambda _: harness.jobs.create(new, once), range(50)))
    assert len({job.id for job, _ in made}) == 1
    assert [replay for _, replay in made].count(None) == 1
    assert statements(ledger, made[0][0]) == [("hold", 0, 100 * SECOND)]
    assert spent(ledger, harness) == 100 * SECOND


def test_what_is_longer_than_thought_is_held_for_before_it_is_heard(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(1))
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "a")
    assert spent(ledger, harness) == 100
    harness.jobs.add_chunk(lease, 1, span(1), "b")
    assert spent(ledger, harness) == 2.5 * SECOND, "a quarter more, so that the account's other jobs have the rest"
    last = {**span(99), "own_start": 0}
    harness.jobs.add_chunk(lease, 2, last, "c")
    assert spent(ledger, harness) == 100 * SECOND, "as much as there is, of a quarter more"
    with pytest.raises(InsufficientBalance):
        harness.jobs.add_chunk(lease, 3, span(100), "d")
    assert harness.now(job).chunks_total == 3


def test_a_job_without_money_pays_for_what_was_heard_and_no_more(harness: JobStoreHarness, ledger: Ledger) -> None:
    """The audio that was heard is kept for the retry, which does not pay it again."""
    job = harness.submit(terms=terms(2))
    ledger.adjust(harness.account, -98 * SECOND)
    lease = harness.claim(job)
    for idx in (0, 1):
        harness.jobs.add_chunk(lease, idx, span(idx), f"s{idx}")
        harness.hear(job, idx)
    with pytest.raises(InsufficientBalance) as refused:
        harness.jobs.add_chunk(lease, 2, span(2), "s2")
    failed = harness.jobs.fail(lease, refused.value.as_dict())
    assert (failed.captured_micro, failed.held_micro, ledger.balance(harness.account)) == (200, 0, 0)
    ledger.top_up(harness.account, 1_000)
    harness.jobs.retry(harness.account, job.id)
    harness.cut(job, 3)
    harness.hear(job, 2)
    assert harness.finish(job).captured_micro == 300
    assert ledger.balance(harness.account) == 900
    assert ledger.check() == []


def test_no_job_costs_more_than_its_limit(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(60, max_cost_micro=250))
    assert (harness.now(job).held_micro, spent(ledger, harness)) == (250, 250)
    lease = harness.claim(job)
    harness.jobs.cover(lease, 2 * CHUNK)
    with pytest.raises(CostLimitExceeded, match=r"max_cost of 0\.00025 USD") as refused:
        harness.jobs.cover(lease, 3 * CHUNK)
    harness.jobs.fail(lease, refused.value.as_dict())
    assert spent(ledger, harness) == 0


def test_failed_work_is_free_and_a_retry_pays_it_once(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(3))
    harness.cut(job, 3)
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    failed = harness.now(job)
    assert (failed.status, failed.captured_micro, failed.held_micro) == (JobStatus.FAILED, 0, 0)
    assert spent(ledger, harness) == 0
    assert statements(ledger, job)[-2:] == [("capture", -1, -100), ("release", 0, 300)]
    assert Receipts(harness.database).of(job.id) is None
    harness.jobs.retry(harness.account, job.id)
    assert spent(ledger, harness) == 300
    harness.cut(job, 3)
    for idx in (1, 2):
        harness.hear(job, idx)
    assert harness.finish(job).captured_micro == 300
    assert spent(ledger, harness) == 300
    assert statements(ledger, job)[5:] == [("capture", PARTS + 1, 200), ("capture", PARTS + 2, 100)]


def test_gaps_are_free_and_a_retry_pays_only_for_them(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(3), request={"on_chunk_failure": "partial"})
    harness.cut(job, 3)
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    harness.hear(job, 2)
    assert harness.finish(job).captured_micro == 200
    assert spent(ledger, harness) == 200
    harness.jobs.retry(harness.account, job.id)
    assert harness.now(job).held_micro == 100
    harness.cut(job, 3)
    harness.hear(job, 1)
    done = harness.finish(job)
    assert (done.captured_micro, done.partial, spent(ledger, harness)) == (300, False, 300)
    receipt = Receipts(harness.database).of(job.id)
    assert receipt is not None
    assert (receipt.cost, receipt.audio_ms) == (300, 3000)


def test_a_retry_that_fails_costs_nothing_but_leaves_what_was_delivered(
    harness: JobStoreHarness, ledger: Ledger
) -> None:
    job = harness.submit(terms=terms(2), request={"on_chunk_failure": "partial"})
    harness.cut(job, 2)
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    harness.finish(job)
    harness.jobs.retry(harness.account, job.id)
    harness.jobs.fail(harness.claim(job), ERROR)
    assert harness.now(job).captured_micro == 100
    assert spent(ledger, harness) == 100


def test_cancelling_frees_the_rest_at_once(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(3))
    harness.cut(job, 3)
    harness.hear(job, 0)
    running = harness.claim_chunk(job, 1)
    assert harness.jobs.cancel(harness.account, job.id).status == JobStatus.CANCELLING
    assert spent(ledger, harness) == 100, "while a worker is still at it"
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(running, "late")
    assert harness.now(job).status == JobStatus.CANCELLED
    assert spent(ledger, harness) == 100
    receipt = Receipts(harness.database).of(job.id)
    assert receipt is not None
    assert receipt.cost == 100


def test_a_job_past_its_time_is_free(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(2), timeout_seconds=60)
    harness.cut(job, 2)
    harness.hear(job, 0)
    harness.shift(job, deadline_at=1.0)
    harness.jobs.expire_overdue()
    assert spent(ledger, harness) == 0


def test_deleting_settles_and_the_receipt_stays(harness: JobStoreHarness, ledger: Ledger) -> None:
    ended, live = (harness.submit(terms=terms(2)) for _ in range(2))
    for job in (ended, live):
        harness.cut(job, 2)
        harness.hear(job, 0)
    harness.hear(ended, 1)
    harness.finish(ended)
    for job in (ended, live):
        harness.jobs.delete(harness.account, job.id, force=True)
    assert spent(ledger, harness) == 300
    costs = [Receipts(harness.database).of(job.id) for job in (ended, live)]
    assert [receipt.cost for receipt in costs if receipt] == [200, 100]


def test_a_zombie_captures_nothing(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(2))
    harness.cut(job, 2)
    dead = harness.claim_chunk(job, 0)
    harness.silence(job, 0)
    harness.jobs.rescue()
    harness.hear(job, 0)
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(dead, "zombie")
    assert harness.now(job).captured_micro == 100
    assert statements(ledger, job).count(("capture", 0, 100)) == 1


def test_silence_is_seconds_like_any_other(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(2))
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), None)
    assert harness.now(job).captured_micro == 100
    harness.jobs.add_chunk(lease, 1, span(1), None)
    harness.jobs.cut_done(lease, 2 * CHUNK, 2)
    assert harness.finish(job).captured_micro == 200


def test_tokens_are_added_up_chunk_by_chunk(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(3, prices=TOKENS))
    harness.cut(job, 3)
    counts = (TokenUsage(audio_in=10, text_out=5), TokenUsage(audio_in=11, text_out=4))
    for idx, (tokens, counted) in enumerate(zip(counts, ("provider", "estimated"), strict=True)):
        lease = harness.claim_chunk(job, idx)
        harness.jobs.complete_chunk(lease, f"r{idx}", "m", Usage(tokens=tokens, counted=counted))
    harness.jobs.complete_chunk(harness.claim_chunk(job, 2), "r2", "m", Usage())
    done = harness.finish(job)
    assert done.captured_micro == 21 * 6 + 9 * 10 == spent(ledger, harness)
    receipt = Receipts(harness.database).of(job.id)
    assert receipt is not None
    assert (receipt.counted, receipt.tokens) == (
        "estimated",
        {"text_in": 0, "audio_in": 21, "text_out": 9, "audio_out": 0},
    )


def test_a_provider_that_counts_more_than_was_held_is_paid_by_the_balance(
    harness: JobStoreHarness, ledger: Ledger
) -> None:
    job = harness.submit(terms=terms(1, prices=TOKENS))
    harness.cut(job, 1)
    tokens = Usage(tokens=TokenUsage(audio_in=100, text_out=10), counted="provider")
    harness.jobs.complete_chunk(harness.claim_chunk(job, 0), "r", "m", tokens)
    assert harness.finish(job).captured_micro == 700 == spent(ledger, harness)


def test_a_recording_heard_in_one_piece(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(0.5, ratio=Decimal(2)))
    lease = harness.claim(job)
    harness.jobs.cover(lease, CHUNK)
    done = harness.jobs.finish(lease, Finished(result_key="t"), HeardChunk(span=span(0)))
    assert done.captured_micro == 200 == spent(ledger, harness)
    receipt = Receipts(harness.database).of(job.id)
    assert receipt is not None
    assert receipt.ratio == "2"


def test_a_url_is_held_for_when_its_length_is_known(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(1), source={"url": "https://example.com"})
    lease = harness.claim(job)
    assert harness.jobs.note_input(lease, {}, harness.upload(), audio_ms=50_000).held_micro == 5_000
    assert harness.jobs.note_input(lease, {}, audio_ms=500_000).held_micro == 100 * SECOND, "a guess refuses nobody"
    assert harness.now(job).estimated_micro == 500 * SECOND


def test_what_is_heard_again_because_its_result_is_gone_is_paid_once(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(3))
    harness.cut(job, 3)
    assert [harness.hear(job, idx) for idx in range(3)] == [False, False, True]
    lease, gone = harness.claim(job), InputMissing().as_dict()
    assert harness.jobs.hear_again(lease, {0: "a", 2: "b"}, gone, kept=0)
    harness.check_counters(job)
    harness.check_queue()
    assert harness.due() == [(job.id, 0), (job.id, 2)], "and not the job"
    assert cost_facts(harness.now(job))["captured"] == 0.0003, "nothing is taken or given back meanwhile"
    with pytest.raises(LeaseLost):
        harness.jobs.hear_again(lease, {1: "c"}, gone, kept=0)
    assert [harness.hear(job, idx) for idx in (2, 0)] == [False, True]
    assert harness.finish(job).captured_micro == 300 == spent(ledger, harness)
    captures = [(part, amount) for kind, part, amount in statements(ledger, job) if kind == "capture"]
    assert captures == [(0, 100), (1, 100), (2, 100)]
    assert harness.timeline(job).count("chunk.retrying") == 2


def test_what_was_paid_and_lost_and_cannot_be_heard_again_is_given_back(
    harness: JobStoreHarness, ledger: Ledger
) -> None:
    job = harness.submit(terms=terms(3), request={"on_chunk_failure": "partial"})
    harness.cut(job, 3)
    for idx in range(3):
        harness.hear(job, idx)
    assert harness.jobs.hear_again(harness.claim(job), {1: "a"}, InputMissing().as_dict(), kept=0)
    assert spent(ledger, harness) == 300
    harness.break_chunk(job, 1)
    done = harness.finish(job)
    assert (done.partial, done.captured_micro, spent(ledger, harness)) == (True, 200, 200)
    receipt = Receipts(harness.database).of(job.id)
    assert receipt is not None
    assert (receipt.cost, receipt.audio_ms) == (200, 2000)
    harness.jobs.retry(harness.account, job.id)
    harness.cut(job, 3)
    harness.hear(job, 1)
    assert (harness.finish(job).captured_micro, spent(ledger, harness), ledger.check()) == (300, 300, [])


def test_cancelled_only_what_is_still_there_is_paid(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(3))
    harness.cut(job, 3)
    for idx in range(3):
        harness.hear(job, idx)
    assert harness.jobs.hear_again(harness.claim(job), {0: "a", 1: "b"}, InputMissing().as_dict(), kept=0)
    harness.jobs.cancel(harness.account, job.id)
    assert (harness.now(job).captured_micro, spent(ledger, harness), ledger.check()) == (100, 100, [])


def test_a_result_that_is_gone_again_and_again_is_given_up(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 1)
    for again in (True, True, False):
        harness.hear(job, 0)
        lease = harness.claim(job)
        assert harness.jobs.hear_again(lease, {0: "a"}, InputMissing().as_dict(), kept=0) is again
    assert harness.now(job).chunks_completed == 1, "the third time nothing has happened"
    assert harness.jobs.fail(lease, InputMissing().as_dict()).status == JobStatus.FAILED


def test_a_text_costs_all_its_characters(harness: JobStoreHarness, ledger: Ledger) -> None:
    """What lies between its passages is paid with the last one, so that jobs and requests cost the same."""
    price = Prices(thousand_characters=Decimal("0.015"))
    text = "a" * 60 + " " + "b" * 39
    new = NewJob(
        account_id=harness.account,
        task="speech",
        model="tts-1",
        input={"characters": len(text)},
        terms=Terms(prices=price, text=text),
    )
    job, _ = harness.jobs.create(new)
    assert job.held_micro == 1_500
    lease = harness.claim(job)
    for idx, (start, end) in enumerate(((0, 60), (60, 99))):
        harness.jobs.add_chunk(
            lease, idx, {**span(idx), "own_start": start, "own_end": end, "audio_end": end}, f"t{idx}"
        )
    harness.jobs.cut_done(lease, 99, 2)
    harness.hear(job, 0)
    assert harness.now(job).captured_micro == 900
    harness.hear(job, 1)
    assert harness.finish(job).captured_micro == 1_500 == spent(ledger, harness)


def test_a_job_that_waited_in_vain_has_cost_nothing(harness: JobStoreHarness, ledger: Ledger) -> None:
    job = harness.submit(terms=terms(2), timeout_seconds=60)
    harness.cut(job, 2)
    harness.hear(job, 0)
    away = ProviderUnavailable()
    harness.jobs.wait(harness.claim_chunk(job, 1), Dependency.PROVIDER, "provider far/oracle", away.as_dict())
    assert spent(ledger, harness) == 200, "it is held while it waits"
    harness.shift(job, deadline_at=1.0)
    harness.jobs.expire_overdue()
    row = harness.now(job)
    assert (row.status, (row.error or {})["code"]) == (JobStatus.EXPIRED, "provider_unavailable")
    assert (row.held_micro, row.captured_micro, spent(ledger, harness)) == (0, 0, 0)
