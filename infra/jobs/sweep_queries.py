"""The queries of the sweep, which keeps promises when processes died.

Any number of sweeps may run at once: every move looks again under the row's lock.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select, true
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now
from infra.database.tables.accounts import Account, ApiKey
from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.shares import Lane
from infra.jobs.cancel_retry_delete import stop
from infra.jobs.chunks import give_up_chunk
from infra.jobs.job_walk import JobWalk
from infra.jobs.outages import overdue_error
from infra.jobs.queue.fair_order import claimable_now, due_now
from infra.jobs.transitions import close_if_idle, end, note, put_back, put_chunk_back, try_number
from infra.keys.accounts import CLOSED
from pipeline.errors import WorkerLost
from pipeline.lifecycle import ACTIONS, JOB_MOVES, ChunkStatus, JobStatus

MAY_STOP = tuple(ACTIONS["cancel"] - {JobStatus.CANCELLING})
MAY_EXPIRE = tuple(status for status, targets in JOB_MOVES.items() if JobStatus.EXPIRED in targets)


class SweepQueries(JobWalk):
    """silent_workers, rescue, due, close_cancelled, stop_forbidden, expire_overdue."""

    def silent_workers(self) -> set[str]:
        """Those whose leases have run out."""
        jobs = select(col(Job.worker)).where(*_silent_job(now()))
        chunks = select(col(Chunk.worker)).join(Job, col(Job.id) == col(Chunk.job_id))
        with self._database.read() as session:
            of_jobs = session.scalars(jobs.distinct()).all()
            of_chunks = session.scalars(chunks.where(_RUNS, *_silent(now())).distinct()).all()
        return {str(worker) for worker in (*of_jobs, *of_chunks)}

    def rescue(self, limit: int = 500, *, spared: Collection[str] = ()) -> int:
        """Take work back from workers that fell silent: due again with lost + 1, or failed as worker_lost after max_attempts.

        Not from those that are `spared`. Returns how many jobs and chunks.
        """
        jobs = self._each(_silent_jobs(spared), limit, self._rescue_job)
        chunks = self._each(_with_silent_chunks(spared), limit, partial(self._rescue_chunks, spared))
        return sum(jobs.values()) + sum(chunks.values())

    def due(self, limit: int = 500) -> dict[str, int]:
        """How many pieces of work could be claimed this moment, by role; at most `limit` of each."""
        with self._database.read() as session:
            return {role: _claimable(session, role, limit) for role in session.scalars(select(col(Lane.role))).all()}

    def close_cancelled(self, limit: int = 100) -> list[str]:
        """Cancelling jobs without a live lease become cancelled; returns their ids."""

        def close(session: Session, job: Job, time: float) -> int:
            return int(job.status == JobStatus.CANCELLING and close_if_idle(session, job, time))

        return list(self._each(_idle_cancelling(), limit, close))

    def stop_forbidden(self, account_id: str | None = None, limit: int = 100) -> list[str]:
        """Cancel the live jobs of closed accounts, and those made with a key that is revoked; returns their ids. Of all accounts,
        or of one.
        """

        def forbid(session: Session, job: Job, time: float) -> int:
            if job.status not in MAY_STOP:
                return 0
            note(session, job, "stopped", time, reason=_why_forbidden(session, job))
            stop(session, job, time)
            return 1

        return list(self._each(_forbidden(account_id), limit, forbid, wait=True))

    def expire_overdue(self, limit: int = 100) -> list[str]:
        """Live jobs past their deadline become expired, for want of what they waited for; returns their ids."""
        overdue = select(col(Job.id)).where(col(Job.status).in_(MAY_EXPIRE), col(Job.deadline_at) <= now())

        def expire(session: Session, job: Job, time: float) -> int:
            if job.status not in MAY_EXPIRE or job.deadline_at is None or job.deadline_at > time:
                return 0
            end(session, job, JobStatus.EXPIRED, time, overdue_error(job))
            return 1

        return list(self._each(overdue, limit, expire))

    def _rescue_job(self, session: Session, job: Job, time: float) -> int:
        if job.status != JobStatus.PROCESSING or job.lease_until is None or job.lease_until >= time:
            return 0
        note(session, job, "worker_lost", time, attempt=try_number(job), worker=job.worker, lost=job.lost + 1)
        job.lost += 1
        if job.lost >= self._max_attempts:
            end(session, job, JobStatus.FAILED, time, WorkerLost(stage=job.stage, attempts=job.lost).as_dict())
        else:
            put_back(job, time)
        return 1

    def _rescue_chunks(self, spared: Collection[str], session: Session, job: Job, time: float) -> int:
        if job.status != JobStatus.PROCESSING:
            return 0
        silent = select(Chunk).where(col(Chunk.job_id) == job.id, *_silent(time, spared)).order_by(col(Chunk.idx))
        rescued = 0
        for chunk in session.scalars(silent.with_for_update()).all():
            rescued += 1
            self._rescue_chunk(session, job, chunk, time)
            if job.status != JobStatus.PROCESSING:
                break
        return rescued

    def _rescue_chunk(self, session: Session, job: Job, chunk: Chunk, time: float) -> None:
        chunk.lost += 1
        job.chunks_retried += 1
        job.version += 1
        note(session, job, "chunk.worker_lost", time, chunk=chunk.idx, worker=chunk.worker, lost=chunk.lost)
        if chunk.lost < self._max_attempts:
            put_chunk_back(chunk, time)
            return
        error = WorkerLost(stage=job.stage, attempts=chunk.lost).as_dict()
        if give_up_chunk(session, job, chunk, error, time):
            job.dispatched_at = None  # nobody is at hand to finish it: dispatch


_RUNS = col(Job.status) == JobStatus.PROCESSING


def _claimable(session: Session, role: str, limit: int) -> int:
    due = due_now(session, role)  # one statement: mostly nothing is, and to count takes six
    return claimable_now(session, role, due.at, limit) if due.any else 0


def _silent_jobs(spared: Collection[str]) -> Select[str]:
    return select(col(Job.id)).where(*_silent_job(now()), _held_by_others(col(Job.worker), spared))


def _with_silent_chunks(spared: Collection[str]) -> Select[str]:
    silent = exists().where(col(Chunk.job_id) == col(Job.id), *_silent(now(), spared))
    return select(col(Job.id)).where(_RUNS, silent)


def _silent_job(time: Any) -> tuple[ColumnElement[bool], ...]:
    return (_RUNS, col(Job.lease_until) < time)


def _silent(time: Any, spared: Collection[str] = ()) -> tuple[ColumnElement[bool], ...]:
    held = _held_by_others(col(Chunk.worker), spared)
    return (col(Chunk.status) == ChunkStatus.RUNNING, col(Chunk.lease_until) < time, held)


def _held_by_others(worker: Any, spared: Collection[str]) -> ColumnElement[bool]:
    """Also by nobody who can be named."""
    return or_(worker.is_(None), worker.not_in(spared)) if spared else true()


def _forbidden(account_id: str | None) -> Select[str]:
    closed = exists().where(col(Account.id) == col(Job.account_id), col(Account.status) == CLOSED)
    revoked = exists().where(col(ApiKey.id) == col(Job.key_id), col(ApiKey.revoked_at).is_not(None))
    forbidden = select(col(Job.id)).where(col(Job.status).in_(MAY_STOP), or_(closed, revoked))
    return forbidden if account_id is None else forbidden.where(col(Job.account_id) == account_id)


def _why_forbidden(session: Session, job: Job) -> str:
    account = session.get(Account, job.account_id)
    return "account_closed" if account is not None and account.status == CLOSED else "key_revoked"


def _idle_cancelling() -> Select[str]:
    heard = exists().where(
        col(Chunk.job_id) == col(Job.id), col(Chunk.status) == ChunkStatus.RUNNING, col(Chunk.lease_until) > now()
    )
    idle = or_(col(Job.lease_until).is_(None), col(Job.lease_until) <= now())
    return select(col(Job.id)).where(col(Job.status) == JobStatus.CANCELLING, idle, ~heard)
