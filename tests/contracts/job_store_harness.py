"""A job store on a fresh database, with the short cuts that its tests share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlmodel import col

from infra.database.clock import now
from infra.database.session import Database
from infra.database.tables.jobs import Chunk, Job, JobEvent
from infra.database.tables.shares import Share, WaitingWork
from infra.database.tables.storage import Erasure
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookMessage
from infra.jobs.queue.row_claims import Claimed, take
from infra.jobs.store import Finished, HeardChunk, JobStore, Lease, NewJob
from infra.media import MediaStore
from pipeline.lifecycle import ChunkStatus
from tests.support.retention import purge

CHUNK = 16_000  # samples: every test chunk is one second long
ERROR = {"code": "provider_refused", "message": "no", "retryable": False}


def span(idx: int, *, start: int | None = None) -> dict[str, Any]:
    """A chunk's span as add_chunk takes it."""
    begin = idx * CHUNK if start is None else start
    end = (idx + 1) * CHUNK
    return {"index": idx, "audio_start": begin, "audio_end": end, "own_start": begin, "own_end": end, "map": ((0, 1),)}


def _waits(job: Job) -> bool:
    heard = job.chunks_completed + job.chunks_failed >= job.chunks_total
    idle = job.status == "processing" and job.lease_token is None and (not job.cut_done or heard)
    return job.status == "queued" or idle


@dataclass
class JobStoreHarness:
    """Everything a test does to jobs. `jobs` has leases of 60 s: they end when a test says so, by `silence`."""

    database: Database
    jobs: JobStore
    media: MediaStore
    account: str

    def submit(self, **given: Any) -> Job:
        """A queued job."""
        job, replayed = self.jobs.create(NewJob(account_id=self.account, task="transcription", model="oracle", **given))
        assert replayed is None
        return job

    def upload(self, name: str = "talk.wav") -> Media:
        """Stored media."""
        return self.media.stored(self.media.begin(self.account, name).id, 12, "ab" * 32)

    def take(self, job_id: str, idx: int = -1, worker: str = "w") -> Claimed | None:
        """Claim this very job or chunk, whoever's turn it is."""
        with self.database.write() as session:
            return take(session, job_id, idx, worker, 60)

    def due(self) -> list[tuple[str, int | None]]:
        """What could be claimed now, jobs (None) before chunks."""
        rows = select(WaitingWork).where(col(WaitingWork.run_at) <= now()).order_by(col(WaitingWork.idx))
        with self.database.read() as session:
            return [(row.job_id, None if row.idx < 0 else row.idx) for row in session.scalars(rows)]

    def claim(self, job: Job, worker: str = "w1") -> Lease:
        """Claim what must be claimable."""
        claimed = self.take(job.id, worker=worker)
        assert claimed is not None
        return claimed.lease

    def claim_chunk(self, job: Job, idx: int, worker: str = "w2") -> Lease:
        """Claim what must be claimable."""
        claimed = self.take(job.id, idx, worker)
        assert claimed is not None
        return claimed.lease

    def cut(self, job: Job, chunks: int = 2, lease: Lease | None = None) -> None:
        """Prepare a job into that many chunks with sound."""
        lease = lease or self.claim(job)
        for idx in range(chunks):
            self.jobs.add_chunk(lease, idx, span(idx), f"sound/{lease.attempt}-{idx}")
        self.jobs.cut_done(lease, chunks * CHUNK, chunks)

    def hear(self, job: Job, idx: int) -> bool:
        """Claim and complete one chunk."""
        lease = self.claim_chunk(job, idx)
        return self.jobs.complete_chunk(lease, f"heard/{idx}-{lease.attempt}", "oracle")

    def break_chunk(self, job: Job, idx: int, retry_in: float | None = None) -> bool:
        """Claim and fail one chunk."""
        return self.jobs.fail_chunk(self.claim_chunk(job, idx), ERROR, retry_in)

    def finish_short(self, job: Job) -> Job:
        """A job of one chunk from queued to completed."""
        lease = self.claim(job)
        return self.jobs.finish(lease, Finished(result_key="t/1"), HeardChunk(span=span(0)))

    def finish(self, job: Job, **given: Any) -> Job:
        """Claim and finish a job that is heard."""
        return self.jobs.finish(self.claim(job), Finished(result_key="t/1", model_used="oracle", **given))

    def now(self, job: Job) -> Job:
        """The row as it is."""
        found = self.jobs.find(job.id)
        assert found is not None
        return found

    def shift(self, job: Job, **columns: Any) -> None:
        """Turn back the clock for one job: set columns of its row."""
        with self.database.write() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(**columns))

    def shift_chunk(self, job: Job, idx: int, **columns: Any) -> None:
        """The same for one chunk."""
        these = (col(Chunk.job_id) == job.id, col(Chunk.idx) == idx)
        with self.database.write() as session:
            session.execute(update(Chunk).where(*these).values(**columns))

    def purge(self, *jobs: Job) -> set[str]:
        """The retention of these is over; the ids of those that lose their results, which are those that have ended."""
        return purge(self.database, self.jobs, *(job.id for job in jobs))

    def silence(self, job: Job, *chunks: int) -> None:
        """The workers of these chunks, or without any the job's own, fell silent long ago."""
        for idx in chunks:
            self.shift_chunk(job, idx, lease_until=1.0)
        if not chunks:
            self.shift(job, lease_until=1.0)

    def messages(self, job: Job) -> list[WebhookMessage]:
        """The outbox of a job."""
        wanted = select(WebhookMessage).where(col(WebhookMessage.job_id) == job.id)
        with self.database.read() as session:
            return list(session.scalars(wanted.order_by(col(WebhookMessage.created_at))))

    def timeline(self, job: Job) -> list[str]:
        """The types of its events."""
        return [event.type for event in self.jobs.events(self.account, job.id)]

    def erasures(self) -> set[str]:
        """All places that wait to be erased, due or not."""
        with self.database.read() as session:
            return set(session.scalars(select(col(Erasure.place))))

    def rows(self, table: type[Chunk] | type[JobEvent] | type[Job]) -> int:
        """How many there are."""
        with self.database.read() as session:
            return session.execute(select(func.count()).select_from(table)).scalar_one()

    def check_queue(self) -> None:
        """What waits is what the jobs' and chunks' rows say, and the shares' counters are its sums."""
        with self.database.read() as session:
            jobs = {job.id: job for job in session.scalars(select(Job))}
            chunks = list(session.scalars(select(Chunk)))
            work = {(row.job_id, row.idx): row for row in session.scalars(select(WaitingWork))}
            shares = list(session.scalars(select(Share)))
        jobs_waiting = {(job.id, -1): (job.queue, job.run_at) for job in jobs.values() if _waits(job)}
        pending = [chunk for chunk in chunks if chunk.status == "pending" and chunk.sound_key is not None]
        expected = jobs_waiting | {(chunk.job_id, chunk.idx): (chunk.queue, chunk.run_at) for chunk in pending}
        assert {key: (row.role, row.run_at) for key, row in work.items()} == expected
        costs = {(chunk.job_id, chunk.idx): 1000 + chunk.cost_ms for chunk in pending}
        assert {key: row.cost_ms for key, row in work.items() if key[1] >= 0} == costs
        counted = Counter[tuple[str, str, bool]]()
        cost = Counter[tuple[str, str, bool]]()
        for row in work.values():
            assert row.account_id == jobs[row.job_id].account_id
            counted[row.role, row.account_id, row.slow] += 1
            cost[row.role, row.account_id, row.slow] += row.cost_ms
        for share in shares:
            key = (share.role, share.account_id)
            assert (share.pieces, share.slow_pieces) == (counted.pop((*key, False), 0), counted.pop((*key, True), 0))
            assert (share.waiting_ms, share.slow_ms) == (cost[*key, False], cost[*key, True])
        assert not counted

    def check_counters(self, job: Job) -> None:
        """The job's numbers are what its rows say."""
        row, chunks = self.now(job), self.jobs.chunks(job.id)
        completed = [chunk for chunk in chunks if chunk.status == ChunkStatus.COMPLETED]
        failed = [chunk for chunk in chunks if chunk.status == ChunkStatus.FAILED]
        assert (row.chunks_total, row.chunks_completed, row.chunks_failed) == (len(chunks), len(completed), len(failed))
        assert row.samples_done == sum(chunk.span["own_end"] - chunk.span["own_start"] for chunk in completed)
