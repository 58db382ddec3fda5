"""Many workers, callers and sweeps at once: no deadlock, no lost update, and in the end every job has ended once."""

import contextlib
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.jobs import Chunk, Job
from infra.jobs.store import Finished, Lease
from pipeline.errors import Expired, LeaseLost, NotFound, WrongState
from pipeline.lifecycle import TERMINAL
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span

CHUNKS = 4
THREADS = 8
STEPS = 60


class Worker:
    """One thread: does whatever its dice say to any job, with any lease it ever had."""

    def __init__(self, harness: JobStoreHarness, jobs: list[Job], seed: int) -> None:
        self.harness, self.jobs, self.dice = harness, jobs, random.Random(seed)
        self.leases: list[Lease] = []
        self.lasts: Counter[str] = Counter()

    def run(self) -> None:
        moves = [self.claim] * 3 + [self.hear] * 4 + [self.go_on] * 8 + [self.beat, self.sweep, self.steer]
        for _ in range(STEPS):
            with contextlib.suppress(LeaseLost, WrongState, NotFound, Expired):
                self.dice.choice(moves)()

    def claim(self) -> None:
        if claimed := self.harness.take(self.dice.choice(self.jobs).id):
            self.leases.append(claimed.lease)

    def hear(self) -> None:
        if claimed := self.harness.jobs.claim_next("cpu", "w"):
            self.leases.append(claimed.lease)

    def go_on(self) -> None:
        if self.leases:
            work(self.harness, self.dice.choice(self.leases[-6:]), fail=self.dice.random() < 0.1)

    def beat(self) -> None:
        held = self.harness.jobs.heartbeat(self.leases)
        self.leases = [lease for lease in self.leases if lease in held]

    def sweep(self) -> None:
        jobs = self.harness.jobs
        if self.leases and self.dice.random() < 0.5:
            lease = self.dice.choice(self.leases)
            self.harness.silence(Job(id=lease.job_id), *([] if lease.idx is None else [lease.idx]))
        self.dice.choice([jobs.rescue, jobs.due, jobs.close_cancelled, jobs.counts])()

    def steer(self) -> None:
        jobs, job = self.harness.jobs, self.dice.choice(self.jobs)
        self.dice.choice([jobs.cancel, jobs.retry, jobs.retry, jobs.delete])(self.harness.account, job.id)


def work(harness: JobStoreHarness, lease: Lease, *, fail: bool = False) -> None:
    """The next step under this lease. Raises LeaseLost."""
    jobs = harness.jobs
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


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm(harness: JobStoreHarness, seed: int) -> None:
    jobs = [
        harness.submit(webhook_url="https://example.com", request={"on_chunk_failure": "partial"}) for _ in range(6)
    ]
    workers = [Worker(harness, jobs, seed * 100 + number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        for running in [threads.submit(worker.run) for worker in workers]:
            running.result()
    left = [job for job in jobs if harness.jobs.find(job.id)]
    calm(harness, left)
    for job in left:
        row = harness.now(job)
        assert row.status in TERMINAL
        harness.check_counters(job)
        harness.check_queue()
        told = Counter(message.subject for message in harness.messages(job))
        assert set(told) == {f"{job.id}/{run}" for run in range(1, row.run + 1)}
        assert set(told.values()) == {1}


def calm(harness: JobStoreHarness, jobs: list[Job]) -> None:
    """Everybody is dead; messages bring every job to its end."""
    for _ in range(10):
        with harness.database.write() as session:
            session.execute(update(Job).where(col(Job.lease_until).is_not(None)).values(lease_until=1.0))
            session.execute(update(Chunk).where(col(Chunk.lease_until).is_not(None)).values(lease_until=1.0))
        harness.jobs.rescue()
        harness.jobs.close_cancelled()
        while claimed := harness.jobs.claim_next("cpu", "h"):
            work(harness, claimed.lease)
        if all(harness.now(job).status in TERMINAL for job in jobs):
            return
