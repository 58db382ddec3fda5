"""Claims and leases: who works on what, and until when.

Whoever is woken claims what is next, whatever it was woken for. An expired lease is not claimed over: `rescue` takes it back
first, so that every lost worker is counted, once.

What a claim locks, it locks in the order piece, share, and it waits for no piece: those that somebody has locked are skipped.
So many workers at once find many pieces, and none of them waits for another's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.tables.jobs import Chunk, Job
from infra.jobs.queue.fair_order import Due, Key, charge, claimable_now, due_now, next_piece
from infra.jobs.queue.row_claims import Claimed, take
from infra.jobs.queue.slow_work import NO_ROOM, lock_slow_work, slow_room
from infra.jobs.transitions import (
    Lease,
    Store,
    drop_chunk_lease,
    drop_job_lease,
    held_chunk,
    held_job,
    lock_chunk,
    lock_job,
    note,
    put_back,
    put_chunk_back,
    try_number,
)
from pipeline.errors import LeaseLost
from pipeline.lifecycle import LIVE, ChunkStatus, JobStatus

__all__ = ["Claimed", "Claims", "Lease"]


TRIES = 8  # pieces that are taken from under a claim's hands


class Claims(Store):
    """claim_next, heartbeat, release, forgive."""

    def claim_next(self, role: str, worker: str) -> Claimed | None:
        """The waiting piece of this role's work whose turn it is (`infra.jobs.queue.fair_order`), or None: none is due."""
        due = self._due(role)
        if due is None:
            return None
        passed: set[Key] = set()
        for tries in range(1, TRIES + 1):
            with self._database.write() as session:
                claimed = self._claim_next(session, role, worker, due, passed)
            if claimed is not None or len(passed) < tries:
                return claimed
        return None

    def _due(self, role: str) -> Due | None:
        """None: nothing can be claimed. A look that locks nothing: SQLite's one writer is not kept from heartbeats by those who are
        woken for nothing."""
        with self._database.read() as session:
            due = due_now(session, role)
            may = due.fast or (due.slow and claimable_now(session, role, due.at, 1) > 0)
            return due if may else None

    def _claim_next(self, session: Session, role: str, worker: str, due: Due, passed: set[Key]) -> Claimed | None:
        room = due.of(slow_room(session, role)) if due.slow else NO_ROOM
        piece = next_piece(session, role, due.at, room, passed)
        if piece is not None and piece.slow:
            lock_slow_work(session, role)
            if not slow_room(session, role).is_open_to(piece.account_id, chunk=piece.idx >= 0):
                piece = next_piece(session, role, due.at, NO_ROOM, passed)
        if piece is None:
            return None
        claimed = take(session, piece.job_id, piece.idx, worker, self._lease_seconds)
        if claimed is None:
            passed.add((piece.job_id, piece.idx))
            return None
        charge(session, role, piece)
        return replace(claimed, slow=piece.slow)

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
                note(session, job, "released", job.run_at, attempt=try_number(job))
            else:
                job, chunk = held_chunk(session, lease)
                put_chunk_back(chunk, read_clock(session))
                job.version += 1
                note(session, job, "chunk.released", chunk.run_at, chunk=chunk.idx)

    def forgive(self, leases: Sequence[Lease]) -> None:
        """These were taken from a worker that lives and could not reach the database: it did not die of the work."""
        for lease in leases:
            with self._database.write() as session:
                job = lock_job(session, lease.job_id)
                chunk = None if job is None or lease.idx is None else lock_chunk(session, lease.job_id, lease.idx)
                piece = job if lease.idx is None else chunk
                if job is None or piece is None or job.status not in LIVE or not piece.lost:
                    continue
                piece.lost -= 1
                job.version += 1
                told = {} if lease.idx is None else {"chunk": lease.idx}
                kind = "worker_returned" if lease.idx is None else "chunk.worker_returned"
                note(session, job, kind, read_clock(session), **told, lost=piece.lost)
