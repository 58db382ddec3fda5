"""What a worker finds out about a job's money: the length of what was fetched, the tokens of what was heard."""

import logging
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.money import OpenHold
from infra.money.job_money import Terms
from infra.money.ledger import Ledger
from pipeline.catalog.model import Prices
from pipeline.cut.cutter import Span
from pipeline.lifecycle import JobStatus
from pipeline.pricing import Usage, prices_as_dict
from pipeline.transcript import Heard, Segment, TokenUsage
from tests.support.receiver import receiving
from tests.support.recordings import long, short, silence
from tests.workers.conftest import WorkerHarness
from workers.steps.usage_metering import spoken, used
from workers.sweep import CLEANING, EVERY_MINUTE, EVERY_NIGHT, Sweeper

SECOND = 100  # micro-dollars
MINUTE = Prices(audio_minute=Decimal("0.006"))
TOKENS = Prices(million_audio_tokens_in=Decimal(6), million_text_tokens_out=Decimal(10))
SPAN = Span(0, 0, 160_000, 0, 160_000, "start", "end", 160_000, ((0, 160_000),), 160_000)
HEARD = Heard(segments=(Segment("x" * 120, 0, 1000),))


def job(prices: Prices) -> Job:
    return Job(id="job_1", task="transcription", model="m", prices=prices_as_dict(prices))


def work(harness: WorkerHarness, job_id: str) -> None:
    """Until it ends."""
    for _ in range(100):
        harness.work()
        if harness.job(job_id).ended_at:
            return


@pytest.mark.processes
def test_what_was_fetched_is_held_for_and_billed_by_its_sound(harness: WorkerHarness) -> None:
    recording = long(6, seed=3)
    with receiving() as site:
        site.files = {"/talk.wav": recording.wav}
        source = {"url": f"{site.url}/talk.wav", "headers": {}}
        before = Ledger(harness.services.database).balance(harness.account)
        job_id = harness.create(
            source=source, input={"type": "url"}, queue="io", terms=Terms(prices=MINUTE, audio_ms=1000)
        )
        assert harness.job(job_id).held_micro == SECOND
        harness.work("io", most=1)
    fetched = harness.job(job_id)
    assert fetched.held_micro == fetched.estimated_micro == pytest.approx(6 * SECOND, rel=0.3)
    work(harness, job_id)
    done = harness.job(job_id)
    assert done.status == JobStatus.COMPLETED
    assert done.captured_micro == before - Ledger(harness.services.database).balance(harness.account)
    assert done.captured_micro == int(done.audio_samples / 160 + 0.5)
    assert harness.services.ledger.check() == []


@pytest.mark.processes
def test_a_recording_of_silence_costs_its_seconds_but_no_tokens(harness: WorkerHarness) -> None:
    for prices, cost in ((MINUTE, 3 * SECOND), (TOKENS, 0)):
        job_id = harness.submit(silence(3), terms=Terms(prices=prices, audio_ms=3000))
        work(harness, job_id)
        assert (harness.job(job_id).status, harness.job(job_id).captured_micro) == ("completed", cost)


@pytest.mark.processes
def test_a_job_that_runs_out_of_money_is_not_heard_further(harness: WorkerHarness) -> None:
    account = harness.services.accounts.create_account("poor", "enterprise").id
    harness.services.ledger.top_up(account, SECOND)
    harness.account = account
    job_id = harness.submit(long(8, seed=4), terms=Terms(prices=MINUTE, audio_ms=1000))
    work(harness, job_id)
    failed = harness.job(job_id)
    assert (failed.status, failed.error and failed.error["code"]) == ("failed", "insufficient_balance")
    assert failed.held_micro == 0
    assert harness.calls() == 0, "its first chunk alone costs more than there is"
    assert harness.services.ledger.balance(account) == SECOND
    short_one = harness.submit(short(1), terms=Terms(prices=MINUTE, audio_ms=10))
    harness.services.ledger.adjust(account, -90)
    work(harness, short_one)
    assert harness.job(short_one).status == "failed"
    assert harness.calls() == 0


@pytest.mark.processes
def test_books_that_do_not_agree_are_told_of(harness: WorkerHarness, caplog: pytest.LogCaptureFixture) -> None:
    services = harness.services

    def exposed() -> str:
        harness.worker("scheduler").beat()
        return services.metrics.render(services.jobs, services.queue, services.webhooks, services.workers).decode()

    assert "ledger_imbalance" not in exposed(), "nobody has looked yet"
    Sweeper(services).perform(EVERY_NIGHT)
    assert "ledger_imbalance 0.0" in exposed()
    with services.database.write() as session:
        session.execute(update(Account).values(balance_micro=1))
    Sweeper(services).perform(EVERY_NIGHT)
    assert "ledger_imbalance 1.0" in exposed()
    assert f"account {harness.account}: the balance is 1, its ledger says 1000000000" in caplog.text


def test_what_dead_requests_hold_goes_back(harness: WorkerHarness) -> None:
    services = harness.services
    services.ledger.hold(harness.account, "req_dead", SECOND)
    with services.database.write() as session:
        session.execute(update(OpenHold).values(opened_at=col(OpenHold.opened_at) - 901))
    services.ledger.hold(harness.account, "req_alive", SECOND)
    Sweeper(services).perform(CLEANING + EVERY_MINUTE)
    assert services.ledger.balance(harness.account) == 10**9 - SECOND
    assert services.ledger.check() == []


def test_only_models_priced_by_tokens_count_them() -> None:
    heard = replace(HEARD, usage=TokenUsage(audio_in=98, text_out=31))
    assert used(job(MINUTE), SPAN, heard) is None
    assert used(job(TOKENS), SPAN, heard) == Usage(audio_ms=10_000, tokens=heard.usage, counted="provider")
    assert used(job(TOKENS), replace(SPAN, is_sent=False), Heard()) == Usage()
    assert spoken(job(MINUTE), "abcd", 1000) is None
    assert spoken(job(TOKENS), "abcd", 1000) == Usage(
        audio_ms=1000, characters=4, tokens=TokenUsage(text_in=1, audio_out=21), counted="estimated"
    )


def test_a_count_that_is_far_off_is_logged_and_not_billed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    ours = Usage(audio_ms=10_000, tokens=TokenUsage(text_in=1, audio_in=100, text_out=30), counted="estimated")
    assert used(job(TOKENS), SPAN, HEARD, "word") == ours
    assert caplog.text == ""
    assert used(job(TOKENS), SPAN, replace(HEARD, usage=TokenUsage(audio_in=98_000, text_out=31)), "word") == ours
    assert "98000" in caplog.text
