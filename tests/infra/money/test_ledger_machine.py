"""Money under everything that may happen to jobs and requests, in any order: the books agree after every step.

The jobs' own machine, with prices: work, deaths, zombies, sweeps, retries, cancels and deletions as there, and beside them
top-ups, reading and paying for what was not read, closing the account, and requests that settle, fail or die.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import ExitStack
from decimal import Decimal
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry, OpenHold, Receipt
from infra.jobs.store import HeardChunk, Lease
from infra.keys.accounts import Accounts
from infra.money.job_money import PARTS, Terms, owed
from infra.money.ledger import CAPTURE, HOLD, RELEASE, Ledger
from infra.money.receipts import NewReceipt
from pipeline.catalog.model import Prices
from pipeline.errors import InsufficientBalance, PaymentRequired, WrongState
from pipeline.lifecycle import TERMINAL, JobStatus
from pipeline.pricing import Usage
from tests.contracts.job_store_harness import CHUNK
from tests.infra.jobs.test_job_machine import JobMachine, fresh_sqlite, pick, seldom
from tests.support.database_servers import PostgresServer

SECOND = 100  # micro-dollars; every chunk is a second long
PRICES = Prices(audio_minute=Decimal("0.006"))


class MoneyMachine(JobMachine):
    """A small balance, jobs that cost something, and requests beside them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.ledger = Ledger(self.database)
        self.ledger.top_up(self.harness.account, 12 * SECOND)
        self.requests: list[str] = []
        self.most_owed: Counter[str] = Counter()  # by a job, before results were lost
        self.made = 0

    def _submit(self, chunks: int, partial: bool) -> None:
        """Every other job turns out longer than it was thought to be."""
        self.made += 1
        before = self.ledger.balance(self.harness.account)
        thought = max(0, chunks - self.made % 2) * 1000
        request = {"on_chunk_failure": "partial"} if partial else {}
        try:
            job = self.harness.submit(
                request=request,
                webhook_url="https://example.com",
                timeout_seconds=3600,
                terms=Terms(prices=PRICES, audio_ms=thought),
            )
        except InsufficientBalance:
            assert self.ledger.balance(self.harness.account) == before
            return
        self.sizes[job.id] = chunks

    @precondition(lambda self: self.sizes)
    @rule()
    def retry(self) -> None:
        for job in list(self.sizes):
            row = self._row(job)
            try:
                self.jobs.retry(self.harness.account, job)
            except InsufficientBalance:
                assert self._row(job) == row
            except WrongState:
                assert row.status not in ("failed", "completed") or (row.status == "completed" and not row.partial)

    @precondition(lambda self: self.sizes)
    @rule(n=pick, far=st.integers(1, 3))
    def read(self, n: int, far: int) -> None:
        """Somebody reads the beginning of a job's text."""
        job = list(self.sizes)[n % len(self.sizes)]
        ended = takewhile(lambda chunk: chunk.status in ("completed", "failed"), self.jobs.chunks(job))
        heard = [chunk for chunk in ended if chunk.status == "completed"][:far]
        before = self._row(job)
        try:
            self.jobs.hand_out(self.harness.account, job, [chunk.idx for chunk in heard])
        except PaymentRequired:
            assert before.status in ("failed", "expired") and not all(chunk.handed_out for chunk in heard)
            assert self._row(job) == before
        else:
            now = {chunk.idx: chunk.handed_out for chunk in self.jobs.chunks(job)}
            assert all(now[chunk.idx] for chunk in heard)

    @precondition(lambda self: self.sizes)
    @rule(n=pick)
    def pay(self, n: int) -> None:
        """And for what he has not read."""
        job = list(self.sizes)[n % len(self.sizes)]
        before = self._row(job)
        try:
            self.jobs.pay(self.harness.account, job)
        except WrongState:
            assert before.status not in ("failed", "expired")
        except InsufficientBalance:
            assert self._row(job) == before

    @rule(n=seldom)
    def close_and_open_again(self, n: int) -> None:
        if n == 15:
            accounts = Accounts(self.database)
            accounts.update(self.harness.account, status="closed")
            self.jobs.stop_forbidden(self.harness.account)
            assert {self._row(job).status for job in self._live()} <= {"cancelling"}
            accounts.update(self.harness.account, status="active")

    @rule(seconds=st.integers(1, 5))
    def top_up(self, seconds: int) -> None:
        before = self.ledger.balance(self.harness.account)
        assert self.ledger.top_up(self.harness.account, seconds * SECOND) == before + seconds * SECOND

    @rule(held=st.integers(1, 4), used=st.integers(0, 6), how=st.sampled_from(["settle", "fail", "die", "twice"]))
    def request(self, held: int, used: int, how: str) -> None:
        self.made += 1
        subject = f"req_{self.made}"
        try:
            self.ledger.hold(self.harness.account, subject, held * SECOND)
        except InsufficientBalance:
            assert self.ledger.balance(self.harness.account) < held * SECOND
            return
        if how == "fail":
            self.ledger.release(subject)
        elif how == "die":
            self.requests.append(subject)
        for _ in range({"settle": 1, "twice": 2}.get(how, 0)):
            self.ledger.settle(subject, self._receipt(used))

    @precondition(lambda self: self.requests)
    @rule(late=st.booleans())
    def sweep_requests(self, late: bool) -> None:
        assert self.ledger.release_dead(older_than_seconds=-1) == len(self.requests)
        if late:  # one of them was only slow: it is billed not at all
            assert self.ledger.settle(self.requests[0], self._receipt(1)).cost == 0
        self.requests.clear()

    def _receipt(self, seconds: int) -> NewReceipt:
        usage = Usage(audio_ms=1000 * seconds)
        return NewReceipt(
            account_id=self.harness.account, task="transcription", model="whisper-1", usage=usage, prices=PRICES
        )

    def _act(self, lease: Lease, how: str) -> None:
        """As the worker does: what cannot be paid fails its job."""
        try:
            super()._act(lease, how)
        except InsufficientBalance as error:
            self.jobs.fail(lease, error.as_dict())
        self.most_owed[lease.job_id] = max(self.most_owed[lease.job_id], owed(self._row(lease.job_id)))

    def _finish(self, lease: Lease, row: Job, single: HeardChunk | None) -> None:
        if single is not None:
            self.jobs.cover(lease, CHUNK)
        super()._finish(lease, row, single)

    @invariant()
    def the_books_agree(self) -> None:
        assert self.ledger.check() == []
        with self.database.read() as session:
            entries = list(session.scalars(select(LedgerEntry).order_by(col(LedgerEntry.id))))
            jobs = {job.id: job for job in session.scalars(select(Job))}
            open_now = set(session.scalars(select(col(OpenHold.subject))))
            receipts = {receipt.subject: receipt for receipt in session.scalars(select(Receipt))}
        balance = 0
        left: defaultdict[str, int] = defaultdict(int)
        captured: defaultdict[str, int] = defaultdict(int)
        for entry in entries:
            balance += entry.delta
            assert balance >= 0, "never below nothing, not even for a moment"
            if entry.kind in (HOLD, CAPTURE, RELEASE):
                left[entry.subject] += entry.amount if entry.kind == HOLD else -entry.amount
                assert left[entry.subject] >= 0, "never captured or released beyond what is held"
            if entry.kind == CAPTURE:
                captured[entry.subject] += entry.amount
        assert balance == self.ledger.balance(self.harness.account)
        for subject, open_micro in left.items():
            job = jobs.get(subject)
            if subject not in open_now and (job is None or job.status in TERMINAL):
                assert open_micro == 0, "what is settled is settled to the micro-dollar"
        for job in jobs.values():
            assert (job.held_micro, job.captured_micro) == (left[job.id], captured[job.id])
            self._is_billed_rightly(job, entries, receipts.get(job.id))

    def _is_billed_rightly(self, job: Job, entries: list[LedgerEntry], receipt: Receipt | None) -> None:
        assert job.chunks_completed * SECOND == owed(job)
        most = max(owed(job), self.most_owed[job.id])
        assert 0 <= job.captured_micro <= most, "what is heard again, its result being lost, is paid once"
        if job.status == JobStatus.CANCELLED:
            assert job.captured_micro <= owed(job)
        if job.status == JobStatus.COMPLETED:
            assert job.captured_micro == owed(job)
            assert receipt is not None and receipt.cost == job.captured_micro
        if job.status in (JobStatus.FAILED, JobStatus.EXPIRED) and (job.error or {})["code"] != "insufficient_balance":
            mine = [
                row.amount for row in entries if row.subject == job.id and row.kind == CAPTURE and of_run(row, job.run)
            ]
            read = sum(chunk.handed_out for chunk in self.jobs.chunks(job.id) if chunk.status == "completed")
            earlier = job.captured_micro - sum(mine)
            assert job.captured_micro == max(read * SECOND, earlier), "failed work is free, what was handed out is paid"


def of_run(row: LedgerEntry, run: int) -> bool:
    return row.part == -run or row.part // PARTS == run - 1


ANY_ORDER = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=(Phase.reuse, Phase.generate),  # shrinking takes minutes; add Phase.shrink to see less
)


def test_money_in_any_order(sqlite_template: Path, tmp_path: Path) -> None:
    run_state_machine_as_test(lambda: MoneyMachine(fresh_sqlite(sqlite_template, tmp_path)), settings=ANY_ORDER)


@pytest.mark.processes
def test_and_on_postgresql(postgres: PostgresServer, postgres_template: str) -> None:
    """Fewer: each step is a dozen transactions on a server."""
    with ExitStack() as databases:
        run_state_machine_as_test(
            lambda: MoneyMachine(Database(databases.enter_context(postgres.fresh(postgres_template)))),
            settings=settings(ANY_ORDER, max_examples=4),
        )
