"""Claims and leases: who may work on what, and until when.

A claim is one conditional UPDATE that only one worker wins. An expired lease is not claimed over: `rescue` takes it back
first, so that every lost worker is counted, once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from sqlalchemy import case, exists, func, or_, select, tuple_, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.ids import new_token
from infra.database.tables import Chunk, Job
from infra.jobs.transitions import (
    Lease,
    Store,
    claimable,
    drop_chunk_lease,
    drop_job_lease,
    held_chunk,
    held_job,
    note,
    put_back,
    put_chunk_back,
)
from pipeline.errors import LeaseLost
from pipeline.lifecycle import ChunkStatus, JobStatus, Stage

__all__ = ["Claims", "Lease"]


class Claims(Store):
    """Claim, claim_chunk, heartbeat, release."""

    def claim(self, job_id: str, worker: str) -> tuple[Lease, Job] | None:
        """The one right to advance this job, or None: it is held, not due, ended, deleted, or its chunks are being heard.

        `job.cut_done` tells what is to be done. False: prepare it. True: its chunks are terminal, stitch and finish.
        """
        token = new_token()
        in_time = or_(col(Job.deadline_at).is_(None), col(Job.deadline_at) > now())
        statement = (
            update(Job)
            .where(col(Job.id) == job_id, col(Job.run_at) <= now(), in_time, claimable())
            .values(
                status=JobStatus.PROCESSING,
                stage=case((col(Job.cut_done), Stage.STITCHING), else_=Stage.PREPARING),
                processing_at=func.coalesce(col(Job.processing_at), now()),
                attempt=col(Job.attempt) + 1,
                version=col(Job.version) + 1,
                lease_token=token,
                lease_until=now() + self._lease_seconds,
                worker=worker,
            )
            .returning(Job)
        )
        with self._database.write() as session:
            job = session.scalars(statement).one_or_none()
            if job is None:
                return None
            note(session, job, job.stage, read_clock(session), attempt=job.attempt, worker=worker)
        return Lease(job_id, None, token, job.attempt), job

    def claim_chunk(self, job_id: str, idx: int, worker: str) -> tuple[Lease, Chunk, Job] | None:
        """The one right to hear this chunk, or None: it is held, not due, terminal, or its job does not go on."""
        token = new_token()
        goes_on = exists().where(col(Job.id) == job_id, col(Job.status) == JobStatus.PROCESSING)
        statement = (
            update(Chunk)
            .where(
                col(Chunk.job_id) == job_id,
                col(Chunk.idx) == idx,
                col(Chunk.status) == ChunkStatus.PENDING,
                col(Chunk.sound_key).is_not(None),
                col(Chunk.run_at) <= now(),
                goes_on,
            )
            .values(
                status=ChunkStatus.RUNNING,
                attempt=col(Chunk.attempt) + 1,
                lease_token=token,
                lease_until=now() + self._lease_seconds,
                worker=worker,
            )
            .returning(Chunk)
        )
        with self._database.write() as session:
            chunk = session.scalars(statement).one_or_none()
            job = session.get(Job, job_id) if chunk else None
        if chunk is None or job is None:
            return None
        return Lease(job_id, idx, token, chunk.attempt), chunk, job

    def heartbeat(self, leases: Sequence[Lease]) -> set[Lease]:
        """Prolong them; returns those still held. The lease of a job that is being cancelled is dropped here."""
        if not leases:
            return set()
        jobs = {lease.job_id: lease for lease in leases if lease.idx is None}
        chunks = {(lease.job_id, lease.idx): lease for lease in leases if lease.idx is not None}
        with self._database.write() as session:
            return self._beat_jobs(session, jobs) | self._beat_chunks(session, chunks)

    def _beat_jobs(self, session: Session, leases: dict[str, Lease]) -> set[Lease]:
        if not leases:
            return set()
        named = select(Job).where(col(Job.id).in_(leases)).order_by(col(Job.id)).with_for_update()
        mine = [job for job in session.scalars(named) if job.lease_token == leases[job.id].token]
        until = read_clock(session) + self._lease_seconds
        held = set()
        for job in mine:
            if job.status == JobStatus.PROCESSING:
                job.lease_until = until
                held.add(leases[job.id])
            else:
                drop_job_lease(job)
        return held

    def _beat_chunks(self, session: Session, leases: dict[tuple[str, int], Lease]) -> set[Lease]:
        if not leases:
            return set()
        key = tuple_(col(Chunk.job_id), col(Chunk.idx))
        named = (
            select(Chunk, col(Job.status))
            .join(Job, col(Job.id) == col(Chunk.job_id))
            .where(key.in_(list(leases)))
            .order_by(col(Chunk.job_id), col(Chunk.idx))
            .with_for_update(of=Chunk)
        )
        rows = [(leases[chunk.job_id, chunk.idx], chunk, status) for chunk, status in session.execute(named)]
        until = read_clock(session) + self._lease_seconds
        held = set()
        for lease, chunk, status in rows:
            if chunk.lease_token != lease.token:
                continue
            if status == JobStatus.PROCESSING:
                chunk.lease_until = until
                held.add(lease)
            else:
                drop_chunk_lease(chunk, ChunkStatus.CANCELLED)
        return held

    def release(self, lease: Lease) -> None:
        """Give it back at a graceful shutdown: no attempt is counted, the sweep dispatches it at once. A void lease is no error."""
        with contextlib.suppress(LeaseLost), self._database.write() as session:
            if lease.idx is None:
                job = held_job(session, lease)
                put_back(job, read_clock(session))
                note(session, job, "released", job.run_at, attempt=lease.attempt)
            else:
                job, chunk = held_chunk(session, lease)
                put_chunk_back(chunk, read_clock(session))
                note(session, job, "chunk.released", chunk.run_at, chunk=chunk.idx)
