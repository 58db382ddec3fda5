"""Anything may happen to jobs in any order; what must hold, holds after every step. In the end every job comes to its end.

Workers claim, work, die, come back as zombies; callers cancel, retry and delete; the sweep passes by. The rules do not
know what is legal: they try, and the store decides.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.shares import Outage
from infra.database.tables.webhooks import WebhookMessage
from infra.jobs.store import Finished, HeardChunk, JobStore, Lease
from infra.keys.accounts import Accounts
from infra.media import MediaStore
from pipeline.errors import LeaseLost, WrongState
from pipeline.lifecycle import LIVE, TERMINAL, ChunkStatus, Dependency, JobStatus
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span

MAX_ATTEMPTS = 3
pick = st.integers(0, 11)
seldom = st.integers(0, 15)


class JobMachine(RuleBasedStateMachine):
    """Some jobs, everybody's leases (also the void ones), and what was seen so far."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        account = Accounts(self.database).create_account("machine", "enterprise").id
        store = JobStore(self.database, lease_seconds=600, max_attempts=MAX_ATTEMPTS)
        self.harness = JobStoreHarness(self.database, store, MediaStore(self.database), account)
        self.jobs = store
        self.sizes: dict[
            str, int
        ] = {}  # job -> chunks its recording has; in the order of submission: ids of one ms have none
        self.leases: list[Lease] = []
        self.ended: dict[tuple[str, int], str] = {}  # (job, run) -> the status it ended in
        self.results: Counter[tuple[str, int]] = Counter()
        self.last: Counter[tuple[str, int]] = Counter()
        self.vanished = 0  # times that results got lost
        self.deaths: Counter[tuple[str, int | None, int]] = Counter()  # (job, chunk, run) -> rescued runs of this stage

    # callers

    @initialize(partial=st.booleans())
    def begin_with_two(self, partial: bool) -> None:
        self._submit(3, partial)
        self._submit(1, partial)

    @precondition(lambda self: len(self.sizes) < 3)
    @rule(chunks=st.sampled_from([3, 2, 1, 0]), partial=st.booleans())
    def submit(self, chunks: int, partial: bool) -> None:
        self._submit(chunks, partial)

    def _submit(self, chunks: int, partial: bool) -> None:
        request = {"on_chunk_failure": "partial"} if partial else {}
        job = self.harness.submit(request=request, webhook_url="https://example.com", timeout_seconds=3600)
        self.sizes[job.id] = chunks

    @precondition(lambda self: self.sizes)
    @rule(n=seldom)
    def cancel(self, n: int) -> None:
        if job := self._seldom(n):
            before = self._row(job).status
            try:
                self.jobs.cancel(self.harness.account, job)
            except WrongState as error:
                assert before in TERMINAL - {JobStatus.CANCELLED}
                assert error.details["current_status"] == before

    @precondition(lambda self: self.sizes)
    @rule()
    def retry(self) -> None:
        for job in list(self.sizes):
            row = self._row(job)
            try:
                self.jobs.retry(self.harness.account, job)
            except WrongState:
                assert row.status not in ("failed", "completed") or (row.status == "completed" and not row.partial)

    @precondition(lambda self: self.sizes)
    @rule(n=seldom, force=st.booleans())
    def delete(self, n: int, force: bool) -> None:
        if job := self._seldom(n):
            live = self._row(job).status in LIVE
            try:
                self.jobs.delete(self.harness.account, job, force)
                del self.sizes[job]
            except WrongState:
                assert live and not force

    # workers

    @precondition(lambda self: self.sizes)
    @rule(n=pick, times=st.integers(1, 8), how=st.sampled_from(["work", "fail later", "release", "wait", "fail"]))
    def steps(self, n: int, times: int, how: str) -> None:
        """Somebody who holds a lease does the next thing; where nobody does, somebody claims one. The last may go wrong."""
        for step in range(times):
            lease = self._some(n + step, held=True) or self._claim_something(n + step)
            if lease is None:
                return
            self._act(lease, "work" if step < times - 1 else how)

    @precondition(lambda self: self.sizes)
    @rule(n=pick)
    def begin(self, n: int) -> None:
        self._claim_something(n)

    @rule()
    def wake_up(self) -> None:
        self._claim_next()

    @precondition(lambda self: self.sizes)
    @rule(n=pick, idx=st.one_of(st.none(), st.integers(0, 3)))
    def late_message(self, n: int, idx: int | None) -> None:
        """Somebody claims what is held, or gone, or his."""
        job = list(self.sizes)[n % len(self.sizes)]
        if idx is None:
            self._claim(job)
        else:
            self._claim_chunk(job, idx)

    @precondition(lambda self: self.leases)
    @rule(n=pick, how=st.sampled_from(["work", "fail", "fail later", "wait"]))
    def zombie(self, n: int, how: str) -> None:
        """Somebody whose lease is void goes on as if it were not."""
        if lease := self._some(n, held=False):
            with pytest.raises(LeaseLost):
                self._act(lease, how)
            self.jobs.release(lease)

    @precondition(lambda self: self.sizes)
    @rule(n=pick, times=st.integers(1, 3))
    def die(self, n: int, times: int) -> None:
        """A piece of work that kills its workers."""
        for _ in range(times):
            if lease := self._some(n, held=True) or self._claim_something(n):
                self._die(lease)
                self.rescue()

    @precondition(lambda self: any(size > 1 for size in self.sizes.values()))
    @rule(n=pick)
    def results_vanish(self, n: int) -> None:
        """Who is about to finish a job finds that the store has lost what its chunks heard, after the sweep has dropped the sound
        of some."""
        long = [job for job, size in self.sizes.items() if size > 1]
        row, lease = self._heard(long[n % len(long)])
        if lease is None:
            return
        lost = [chunk for chunk in self.jobs.chunks(row.id) if chunk.status == ChunkStatus.COMPLETED][n % 2 :]
        tried = max(chunk.failures for chunk in lost)
        gone = {chunk.idx: f"sound/again-{chunk.idx}" for chunk in lost}
        assert self.jobs.hear_again(lease, gone, ERROR, kept=0) is (tried + 1 < MAX_ATTEMPTS)
        if tried + 1 < MAX_ATTEMPTS:
            self.last[row.id, row.run] = 0
        self.vanished += 1

    @precondition(lambda self: self.leases)
    @rule()
    def heartbeat(self) -> None:
        held = {lease for lease in self.leases if self._held(lease)}
        assert self.jobs.heartbeat(self.leases) == held

    # the sweep

    @precondition(lambda self: self.leases)
    @rule()
    def rescue(self) -> None:
        silent = [lease for lease in self.leases if self._silent(lease)]
        before = {lease: self._leased(lease) for lease in silent}
        runs = {lease: self._row(lease.job_id).run for lease in silent}
        self.jobs.rescue()
        for lease, row in before.items():
            assert row is not None
            self.deaths[lease.job_id, lease.idx, runs[lease]] += 1
            assert not self._held(lease)
            if row.lost + 1 < MAX_ATTEMPTS:  # or its job has failed by another chunk
                assert self._row(lease.job_id).status != JobStatus.FAILED or len(silent) > 1

    @precondition(lambda self: self.leases)
    @rule()
    def sweep(self) -> None:
        self.jobs.sound_dropped(self.jobs.sound_to_drop())
        self.jobs.close_cancelled()
        assert self.jobs.close_cancelled() == []
        assert sum(self.jobs.due().values()) == len(self.harness.due())

    @precondition(lambda self: self.sizes)
    @rule(n=seldom)
    def run_out_of_time(self, n: int) -> None:
        if job := self._seldom(n):
            self.harness.shift(self._row(job), deadline_at=1.0)
            self.jobs.expire_overdue()
            assert self._row(job).status in TERMINAL | {JobStatus.CANCELLING}
            self.harness.shift(self._row(job), deadline_at=None)

    @precondition(lambda self: self.sizes)
    @rule(over=st.booleans())
    def weather(self, over: bool) -> None:
        """One asks whether it is over; it is, or not."""
        if over:
            self.jobs.answered({"storage"})
            self.jobs.end_waits()
            assert self.jobs.end_waits() == 0
            return
        with self.database.write() as session:
            session.execute(update(Outage).where(col(Outage.since).is_not(None)).values(probe_at=1.0))
        before = len(self.harness.due())
        asked = self.jobs.probe_outages()
        assert asked <= 1
        assert len(self.harness.due()) == before + asked

    # what must hold

    @invariant()
    def everything_holds(self) -> None:
        with self.database.read() as session:
            jobs = list(session.scalars(select(Job)))
            chunks = list(session.scalars(select(Chunk)))
            messages = list(session.scalars(select(WebhookMessage)))
        self.harness.check_queue()
        for job in jobs:
            own = [chunk for chunk in chunks if chunk.job_id == job.id]
            self._counters_are_what_the_rows_say(job, own)
            self._a_run_ends_once_and_is_told_once(job, [message for message in messages if message.job_id == job.id])
            self._nothing_runs_too_often(job, own)
            if job.status in TERMINAL:
                assert job.lease_token is None and job.ended_at is not None
                assert not {chunk.status for chunk in own} & {"pending", "running"}

    def _counters_are_what_the_rows_say(self, job: Job, chunks: list[Chunk]) -> None:
        count = Counter(chunk.status for chunk in chunks)
        assert (job.chunks_total, job.chunks_completed, job.chunks_failed) == (
            len(chunks),
            count["completed"],
            count["failed"],
        )
        assert job.samples_done == count["completed"] * CHUNK

    def _a_run_ends_once_and_is_told_once(self, job: Job, messages: list[WebhookMessage]) -> None:
        ended = self.ended.get((job.id, job.run))
        assert ended is None or ended == job.status, f"{ended} became {job.status}"
        if job.status in TERMINAL:
            self.ended[job.id, job.run] = job.status
        told = [(message.subject, message.type) for message in messages]
        runs = [(run, status) for (job_id, run), status in self.ended.items() if job_id == job.id]
        assert sorted(told) == sorted((f"{job.id}/{run}", f"audio.job.{status}") for run, status in runs)
        assert self.results[job.id, job.run] == int(job.status == JobStatus.COMPLETED)
        assert self.last[job.id, job.run] <= 1

    def _nothing_runs_too_often(self, job: Job, chunks: list[Chunk]) -> None:
        assert job.lost < MAX_ATTEMPTS or (job.lost == MAX_ATTEMPTS and job.status == JobStatus.FAILED)
        for chunk in chunks:
            assert chunk.lost < MAX_ATTEMPTS or (chunk.lost == MAX_ATTEMPTS and chunk.status == ChunkStatus.FAILED)
            assert self.deaths[job.id, chunk.idx, job.run] <= MAX_ATTEMPTS

    def teardown(self) -> None:
        """All workers die, and what was away comes back; honest ones take over. Every job comes to its end, by claims of
        whatever is next."""
        for _ in range(20):
            if not self._live():
                break
            self._silence_everybody()
            self.jobs.rescue()
            self.jobs.close_cancelled()
            self.weather(over=True)
            while lease := self._claim_next():
                while self._held(lease):
                    self._act(lease, "work")
        assert not self._live()
        self.everything_holds()
        self.database.close()

    # how it is done

    def _seldom(self, n: int) -> str | None:
        """One job in a quarter of the cases: most of what happens is work."""
        return list(self.sizes)[n // 4 % len(self.sizes)] if n % 4 == 3 else None

    def _some(self, n: int, *, held: bool) -> Lease | None:
        found = [lease for lease in self.leases if self._held(lease) is held]
        return found[n % len(found)] if found else None

    def _claim_something(self, n: int) -> Lease | None:
        """What is due, of any job; to begin with the n-th."""
        jobs = (list(self.sizes) * 2)[n % len(self.sizes) :][: len(self.sizes)]
        return next((lease for job in jobs if (lease := self._claim_of(job))), None)

    def _claim_of(self, job_id: str) -> Lease | None:
        """What is due of it, chunks before itself."""
        for idx in (*range(self.sizes[job_id]), None):
            if lease := self._claim(job_id) if idx is None else self._claim_chunk(job_id, idx):
                return lease
        return None

    def _heard(self, job_id: str) -> tuple[Job, Lease | None]:
        """The job once all its chunks are heard, with the lease of whoever is to finish it; None where something keeps it."""
        for _ in range(20):
            row = self._row(job_id)
            mine = [lease for lease in self.leases if lease.job_id == job_id and self._held(lease)]
            lease = mine[0] if mine else self._claim_of(job_id)
            is_heard = row.cut_done and row.chunks_completed > 1 and self.last[row.id, row.run] == 1
            if lease is None or (is_heard and lease.idx is None):
                return row, lease
            self._act(lease, "work")
        return row, None

    def _row(self, job_id: str) -> Job:
        row = self.jobs.find(job_id)
        assert row is not None
        return row

    def _live(self) -> list[str]:
        return [job for job in self.sizes if self._row(job).status in LIVE]

    def _leased(self, lease: Lease) -> Job | Chunk | None:
        """The row whose lease this is, if it still is."""
        row = self._piece(lease)
        return row if row is not None and row.lease_token == lease.token else None

    def _piece(self, lease: Lease) -> Job | Chunk | None:
        with self.database.read() as session:
            return (
                session.get(Job, lease.job_id) if lease.idx is None else session.get(Chunk, (lease.job_id, lease.idx))
            )

    def _held(self, lease: Lease) -> bool:
        return self._leased(lease) is not None and self._row(lease.job_id).status == JobStatus.PROCESSING

    def _silent(self, lease: Lease) -> bool:
        row = self._leased(lease)
        return self._held(lease) and row is not None and row.lease_until == 1.0

    def _silence_everybody(self) -> None:
        with self.database.write() as session:
            session.execute(update(Job).where(col(Job.lease_until).is_not(None)).values(lease_until=1.0))
            session.execute(update(Chunk).where(col(Chunk.lease_until).is_not(None)).values(lease_until=1.0))

    def _claim(self, job_id: str) -> Lease | None:
        rivals = [lease for lease in self.leases if lease.job_id == job_id and lease.idx is None and self._held(lease)]
        claimed = self.harness.take(job_id)
        if claimed is None:
            return None
        assert not rivals
        self.leases.append(claimed.lease)
        return claimed.lease

    def _claim_next(self) -> Lease | None:
        held = {(lease.job_id, lease.idx) for lease in self.leases if self._held(lease)}
        claimed = self.jobs.claim_next("cpu", "w")
        if claimed is None:
            assert not self.harness.due()
            return None
        assert (claimed.lease.job_id, claimed.lease.idx) not in held
        self.leases.append(claimed.lease)
        return claimed.lease

    def _claim_chunk(self, job_id: str, idx: int) -> Lease | None:
        rivals = [lease for lease in self.leases if (lease.job_id, lease.idx) == (job_id, idx) and self._held(lease)]
        claimed = self.harness.take(job_id, idx)
        if claimed is None:
            return None
        lease, chunk, job = claimed.lease, claimed.chunk, claimed.job
        assert not rivals
        assert chunk is not None
        assert chunk.sound_key is not None and chunk.result_key is None and job.status == JobStatus.PROCESSING
        self.leases.append(lease)
        return lease

    def _act(self, lease: Lease, how: str) -> None:
        if how == "release":
            self.jobs.release(lease)
        elif how == "wait":
            failures = self._leased(lease)
            assert self.jobs.wait(lease, Dependency.STORAGE, "storage", ERROR)
            row = self._piece(lease)
            assert failures is not None and row is not None
            assert (row.failures, row.lost) == (failures.failures, failures.lost), "weather is no attempt"
        elif how.startswith("fail"):
            retry_in = 0.0 if how == "fail later" else None
            if lease.idx is None:
                self.jobs.fail(lease, ERROR, retry_in)
            else:
                self._was_last(lease, self.jobs.fail_chunk(lease, ERROR, retry_in))
        elif lease.idx is None:
            self._advance(lease)
        else:
            self._was_last(lease, self.jobs.complete_chunk(lease, f"heard/{lease.idx}-{lease.attempt}"))

    def _die(self, lease: Lease) -> None:
        row = self._leased(lease)
        if isinstance(row, Job):
            self.harness.silence(row)
        elif isinstance(row, Chunk):
            self.harness.silence(self._row(lease.job_id), row.idx)

    def _advance(self, lease: Lease) -> None:
        """One step of the job's own work; which one, its row says."""
        row = self.jobs.find(lease.job_id)
        if row is None or not self._held(lease):
            self.jobs.cut_done(lease, 0, 0)  # a zombie tries whatever it was about to do; this raises
            return
        size = self.sizes[row.id]
        present = {chunk.idx for chunk in self.jobs.chunks(row.id) if not self._unarmed(chunk)}
        if row.cut_done:
            self._finish(lease, row, None)
        elif size == 1:
            self._finish(lease, row, HeardChunk(span=span(0), result_key="heard"))
        elif len(present) < size:
            idx = min(set(range(size)) - present)
            self.jobs.add_chunk(lease, idx, span(idx), f"sound/{lease.attempt}-{idx}" if idx else None)
        else:
            self._was_last(lease, self.jobs.cut_done(lease, size * CHUNK, size))

    def _unarmed(self, chunk: Chunk) -> bool:
        return chunk.status == ChunkStatus.PENDING and chunk.sound_key is None

    def _finish(self, lease: Lease, row: Job, single: HeardChunk | None) -> None:
        done = self.jobs.finish(lease, Finished(result_key=f"t/{lease.attempt}"), single)
        assert done.partial == bool(done.chunks_failed) == bool(done.gaps)
        assert done.chunks_total == self.sizes[row.id]
        self.results[done.id, done.run] += 1

    def _was_last(self, lease: Lease, last: bool) -> None:
        row = self._row(lease.job_id)
        self.last[row.id, row.run] += last
        assert not last or row.chunks_completed + row.chunks_failed == row.chunks_total == self.sizes[row.id]


def fresh_sqlite(template: Path, folder: Path) -> Database:
    """A copy of the template, in place of the one before."""
    for stale in folder.glob("machine.db*"):
        stale.unlink()
    shutil.copy(template, folder / "machine.db")
    return Database(f"sqlite:///{folder / 'machine.db'}")


def test_results_do_vanish(sqlite_template: Path, tmp_path: Path) -> None:
    """The rule about them is one that comes to pass: as often as it may be, and once more."""
    machine = JobMachine(fresh_sqlite(sqlite_template, tmp_path))
    machine.begin_with_two(partial=False)
    for _ in range(MAX_ATTEMPTS):
        machine.results_vanish(0)
        machine.sweep()
        machine.everything_holds()
    assert machine.vanished == MAX_ATTEMPTS
    machine.teardown()


def test_in_any_order(sqlite_template: Path, tmp_path: Path) -> None:
    run_state_machine_as_test(
        lambda: JobMachine(fresh_sqlite(sqlite_template, tmp_path)),
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=(Phase.reuse, Phase.generate),  # shrinking takes minutes; add Phase.shrink to see less
        ),
    )
