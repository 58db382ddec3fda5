"""Many workers, callers and sweeps at once: no deadlock, no lost update, and in the end every job has ended once."""

import contextlib
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables import Chunk, Job
from infra.jobs.store import Bell, Finished, Lease
from pipeline.errors import Expired, LeaseLost, NotFound, WrongState
from pipeline.lifecycle import TERMINAL
from tests.contracts.job_store_harness import CHUNK, ERROR, JobDesk, span

CHUNKS = 4
THREADS = 8
STEPS = 60


class Worker:
    """One thread: does whatever its dice say to any job, with any lease it ever had."""

    def __init__(self, desk: JobDesk, jobs: list[Job], seed: int) -> None:
        self.desk, self.jobs, self.dice = desk, jobs, random.Random(seed)
        self.leases: list[Lease] = []
        self.lasts: Counter[str] = Counter()

    def run(self) -> None:
        moves = [self.claim] * 3 + [self.hear] * 4 + [self.go_on] * 8 + [self.beat, self.sweep, self.steer]
        for _ in range(STEPS):
            with contextlib.suppress(LeaseLost, WrongState, NotFound, Expired):
                self.dice.choice(moves)()

    def claim(self) -> None:
        if claimed := self.desk.jobs.claim(self.dice.choice(self.jobs).id, "w"):
            self.leases.append(claimed[0])

    def hear(self) -> None:
        if claimed := self.desk.jobs.claim_chunk(self.dice.choice(self.jobs).id, self.dice.randrange(CHUNKS), "w"):
            self.leases.append(claimed[0])

    def go_on(self) -> None:
        if self.leases:
            work(self.desk, self.dice.choice(self.leases[-6:]), fail=self.dice.random() < 0.1)

    def beat(self) -> None:
        held = self.desk.jobs.heartbeat(self.leases)
        self.leases = [lease for lease in self.leases if lease in held]

    def sweep(self) -> None:
        jobs = self.desk.jobs
        if self.leases and self.dice.random() < 0.5:
            lease = self.dice.choice(self.leases)
            self.desk.silence(Job(id=lease.job_id), *([] if lease.idx is None else [lease.idx]))
        self.dice.choice([jobs.rescue, jobs.to_ring, jobs.close_cancelled, lambda: jobs.stale_bells(0), jobs.counts])()

    def steer(self) -> None:
        jobs, job = self.desk.jobs, self.dice.choice(self.jobs)
        self.dice.choice([jobs.cancel, jobs.retry, jobs.retry, jobs.delete])(self.desk.account, job.id)


def work(desk: JobDesk, lease: Lease, *, fail: bool = False) -> None:
    """The next step under this lease. Raises LeaseLost."""
    jobs = desk.jobs
    if lease.idx is not None:
        if fail:
            jobs.fail_chunk(lease, ERROR, retry_in=None if lease.attempt > 2 else 0)
        else:
            jobs.complete_chunk(lease, f"heard/{lease.idx}-{lease.attempt}")
        return
    job = jobs.find(lease.job_id)
    if fail:
        jobs.release(lease)
    elif job is not None and job.cut_done:
        jobs.finish(lease, Finished(result_key="t"))
    else:
        for idx in range(CHUNKS):
            jobs.add_chunk(lease, idx, span(idx), f"sound/{lease.attempt}-{idx}")
        jobs.cut_done(lease, CHUNKS * CHUNK, CHUNKS)


def answer(desk: JobDesk, bell: Bell) -> None:
    """An honest worker."""
    jobs = desk.jobs
    claimed = jobs.claim(bell.job_id, "h") if bell.idx is None else jobs.claim_chunk(bell.job_id, bell.idx, "h")
    if claimed is not None:
        work(desk, claimed[0])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm(desk: JobDesk, seed: int) -> None:
    jobs = [desk.submit(webhook_url="https://example.com", request={"on_chunk_failure": "partial"}) for _ in range(6)]
    workers = [Worker(desk, jobs, seed * 100 + number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        for running in [threads.submit(worker.run) for worker in workers]:
            running.result()
    left = [job for job in jobs if desk.jobs.find(job.id)]
    calm(desk, left)
    for job in left:
        row = desk.now(job)
        assert row.status in TERMINAL
        desk.check_counters(job)
        told = Counter(message.subject for message in desk.messages(job))
        assert set(told) == {f"{job.id}/{run}" for run in range(1, row.run + 1)}
        assert set(told.values()) == {1}


def calm(desk: JobDesk, jobs: list[Job]) -> None:
    """Everybody is dead; bells bring every job to its end."""
    for _ in range(10):
        with desk.database.write() as session:
            session.execute(update(Job).where(col(Job.lease_until).is_not(None)).values(lease_until=1.0))
            session.execute(update(Chunk).where(col(Chunk.lease_until).is_not(None)).values(lease_until=1.0))
        desk.jobs.rescue()
        desk.jobs.close_cancelled()
        for bell in desk.jobs.to_ring() + desk.jobs.stale_bells(-1):
            answer(desk, bell)
        if all(desk.now(job).status in TERMINAL for job in jobs):
            return
