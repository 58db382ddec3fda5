"""What all parts of the job store share: locked rows, moves from state to state, and the end of a job.

Everything that changes a job locks its row first and its chunks' rows after it, in index order; so transactions wait for
each other and never in a circle. On SQLite the one write lock does the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, false, insert, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from infra.database.clock import read_clock
from infra.database.session import Database, run_beside
from infra.database.tables.jobs import Chunk, Job, JobEvent
from infra.encryption.secret_box import PLAIN, SecretBox
from infra.jobs.stored_bytes import drop_all_sound, leave_cancelled
from infra.money.job_money import settle
from infra.webhooks.outbox import announce
from pipeline.errors import LeaseLost, NotFound, WorkerLost
from pipeline.lifecycle import JOB_MOVES, TERMINAL, ChunkStatus, JobStatus, Stage

MS_PER_CHARACTER = 65  # of a text that is read aloud
WAVE_BYTES_PER_MS = 192  # 48 kHz, 16 bits, stereo
UNKNOWN_SIZE_MS = 600_000  # of a recording that is still to be fetched
LIVE_CHUNK = (ChunkStatus.PENDING, ChunkStatus.RUNNING)


@dataclass(frozen=True)
class Lease:
    """The right to work on a job (idx None) or on one of its chunks.

    `token` fences: the holder of an older one can change nothing. `attempt` numbers the objects that the holder writes.
    """

    job_id: str
    idx: int | None
    token: str
    attempt: int


class Store:
    """The database and the numbers that all parts of the job store go by."""

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float = 6.0,
        max_attempts: int = 3,
        secrets: SecretBox = PLAIN,
    ) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._max_attempts = max_attempts
        self._secrets = secrets


def claimable() -> ColumnElement[bool]:
    """A job that somebody could advance: new, or half prepared and nobody's, or with all its chunks terminal."""
    heard = col(Job.chunks_completed) + col(Job.chunks_failed) >= col(Job.chunks_total)
    nobodys = and_(
        col(Job.status) == JobStatus.PROCESSING,
        col(Job.lease_token).is_(None),
        or_(col(Job.cut_done) == false(), heard),
    )
    return or_(col(Job.status) == JobStatus.QUEUED, nobodys)


def size_ms(task: str, facts: dict[str, Any], thought_ms: int | None = None) -> int:
    """What a job's place in the queue goes by: how long its recording, or the reading of its text, is thought to last.

    A header may say too little; so many bytes last at least as long as they would as a wave file.
    """
    if task == "speech":
        return int(facts.get("characters") or 0) * MS_PER_CHARACTER
    known = facts.get("expected_ms") or float(facts.get("duration") or 0) * 1000 or thought_ms or UNKNOWN_SIZE_MS
    return max(int(known), int(facts.get("bytes") or 0) // WAVE_BYTES_PER_MS)


def try_number(job: Job) -> int:
    """The how-manieth try at its present stage this is: a failure or a worker's death makes it one more, waiting and a fresh claim
    do not. 0: nobody has begun.
    """
    ended_by_death = (job.error or {}).get("code") == WorkerLost.code
    return int(job.attempt > 0 and not ended_by_death) + job.failures + job.lost


def all_heard(job: Job) -> bool:
    """Every chunk is a row, and every row is terminal."""
    return job.cut_done and job.chunks_completed + job.chunks_failed >= job.chunks_total


def lock_job(session: Session, job_id: str, *, skip_locked: bool = False) -> Job | None:
    """The row, ours until the transaction ends; None when it was deleted, or is somebody else's and we do not wait."""
    return session.scalars(_UNLESS_LOCKED if skip_locked else _LOCKED, {"of_job": job_id}).one_or_none()


def lock_chunk(session: Session, job_id: str, idx: int) -> Chunk | None:
    """The chunk's row; lock its job first."""
    return session.scalars(_CHUNK, {"of_job": job_id, "of_idx": idx}).one_or_none()


def lock_own_job(session: Session, account_id: str, job_id: str) -> Job:
    """Raises NotFound: unknown and foreign look the same."""
    job = lock_job(session, job_id)
    if job is None or job.account_id != account_id:
        raise NotFound("No such job.")
    return job


def held_job(session: Session, lease: Lease) -> Job:
    """The job that this lease is for. Raises LeaseLost when it is void; a cancelled job's lease ends here."""
    job = lock_job(session, lease.job_id)
    if job is None or job.lease_token != lease.token:
        raise LeaseLost
    if job.status == JobStatus.CANCELLING:
        drop_job_lease(job)
        _stop(session, job)
    return job


def held_chunk(session: Session, lease: Lease) -> tuple[Job, Chunk]:
    """The chunk that this lease is for, and its job. Raises LeaseLost like held_job."""
    assert lease.idx is not None
    job = lock_job(session, lease.job_id)
    chunk = lock_chunk(session, lease.job_id, lease.idx)
    if job is None or chunk is None or chunk.lease_token != lease.token:
        raise LeaseLost
    if job.status == JobStatus.CANCELLING:
        drop_chunk_lease(chunk, ChunkStatus.CANCELLED)
        _stop(session, job)
    return job, chunk


def _stop(session: Session, job: Job) -> None:
    close_if_idle(session, job, read_clock(session))
    session.commit()
    raise LeaseLost


def drop_job_lease(job: Job) -> None:
    """Nobody works on it."""
    job.lease_token = job.lease_until = job.worker = None


def drop_chunk_lease(chunk: Chunk, status: ChunkStatus) -> None:
    """Nobody hears it any more; `status` tells why."""
    chunk.status = status
    chunk.lease_token = chunk.lease_until = chunk.worker = None


def note(session: Session, job: Job, kind: str, now: float, **data: Any) -> None:
    """One line of the audit timeline."""
    run_beside(session, _NOTE, {"job_id": job.id, "at": now, "type": kind, "data": data or None})


def move(job: Job, target: JobStatus, now: float) -> None:
    """A legal move of state, with its time."""
    assert target in JOB_MOVES[JobStatus(job.status)], f"{job.status} to {target}"
    job.status = target
    setattr(job, f"{target}_at", now)
    job.version += 1


def end(session: Session, job: Job, target: JobStatus, now: float, error: dict[str, Any] | None = None) -> None:
    """A job's last move in this run: its leases die, its unheard chunks are cancelled, its money is settled, whoever wants
    to know is told.
    """
    assert target in TERMINAL
    move(job, target, now)
    drop_job_lease(job)
    job.stage = Stage.DONE
    job.waits_for = None
    job.error = error
    job.ended_at = now
    if job.retention_seconds is not None:
        job.expires_at = now + job.retention_seconds
    if target != JobStatus.COMPLETED:
        cancel_chunks(session, job.id, LIVE_CHUNK)
    if target == JobStatus.CANCELLED:
        leave_cancelled(session, job, now)
    settle(session, job, target, error)
    drop_all_sound(session, job)
    note(session, job, target, now, **({"error": error} if error else {}))
    announce(session, job, now)


def cancel_chunks(session: Session, job_id: str, statuses: tuple[ChunkStatus, ...]) -> None:
    """What has not been heard will not be."""
    these = (col(Chunk.job_id) == job_id, col(Chunk.status).in_(statuses))
    session.execute(select(col(Chunk.idx)).where(*these).order_by(col(Chunk.idx)).with_for_update())
    session.execute(
        update(Chunk)
        .where(*these)
        .values(status=ChunkStatus.CANCELLED, lease_token=None, lease_until=None, worker=None)
        .execution_options(synchronize_session=False)
    )


def close_if_idle(session: Session, job: Job, now: float) -> bool:
    """A job being cancelled is cancelled once no live lease remains."""
    if (job.lease_until or 0) > now:
        return False
    heard = (col(Chunk.job_id) == job.id, col(Chunk.status) == ChunkStatus.RUNNING, col(Chunk.lease_until) > now)
    if session.execute(select(col(Chunk.idx)).where(*heard).limit(1)).first():
        return False
    end(session, job, JobStatus.CANCELLED, now)
    return True


def put_back(job: Job, run_at: float) -> None:
    """Somebody else shall advance it, from `run_at` on: queued again, unless its chunks are already under way."""
    drop_job_lease(job)
    job.run_at = run_at
    job.dispatched_at = None
    job.version += 1
    if not job.chunks_total:
        job.status = JobStatus.QUEUED
        job.stage = Stage.WAITING


def put_chunk_back(chunk: Chunk, run_at: float) -> None:
    """Somebody else shall hear it, from `run_at` on."""
    drop_chunk_lease(chunk, ChunkStatus.PENDING)
    chunk.run_at = run_at
    chunk.dispatched_at = None


# Built once: to build a statement takes many times as long as to run it.
_NOTE = insert(SQLModel.metadata.tables[str(JobEvent.__tablename__)])
_JOB = select(Job).where(col(Job.id) == bindparam("of_job"))
_LOCKED, _UNLESS_LOCKED = _JOB.with_for_update(), _JOB.with_for_update(skip_locked=True)
_CHUNK = (
    select(Chunk)
    .where(col(Chunk.job_id) == bindparam("of_job"), col(Chunk.idx) == bindparam("of_idx"))
    .with_for_update()
)
