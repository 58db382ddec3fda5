"""The claim itself: one conditional UPDATE that only one worker wins, with an attempt number and a token that fence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, bindparam, case, exists, func, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import col

from infra.database.clock import now
from infra.database.ids import new_token
from infra.database.tables.jobs import Chunk, Job
from infra.jobs.transitions import Lease, claimable, note, try_number
from infra.webhooks.outbox import announce_begin
from pipeline.lifecycle import ChunkStatus, JobStatus, Stage

JUST_NOW = 0.01  # seconds: within one statement the database's clock moves by less


@dataclass(frozen=True)
class Claimed:
    """The right to a piece of work: to hear `chunk`, or without one to advance the job.

    Then `job.cut_done` tells what is to be done. False: fetch or prepare it. True: its chunks are terminal, stitch and finish.
    """

    lease: Lease
    job: Job
    chunk: Chunk | None = None
    slow: bool = False


def take(session: Session, job_id: str, idx: int, worker: str, lease_seconds: float) -> Claimed | None:
    """Claim this chunk, or with idx -1 this job. None: it is held or locked, not due, ended, deleted, past its deadline; or its
    chunks are being heard.
    """
    if idx < 0:
        return _take_job(session, job_id, worker, lease_seconds)
    return _take_chunk(session, job_id, idx, worker, lease_seconds)


def _take_job(session: Session, job_id: str, worker: str, lease_seconds: float) -> Claimed | None:
    token = new_token()
    job = session.scalars(_TAKE_JOB, _holder(job_id, worker, token, lease_seconds)).one_or_none()
    if job is None:
        return None
    time = (job.lease_until or 0.0) - lease_seconds
    if job.waits_for is None or job.waiting is None:  # who only asks whether an outage is over has nothing new to tell
        note(session, job, job.stage, time, attempt=try_number(job), worker=worker)
    if time - (job.processing_at or 0.0) < JUST_NOW:
        announce_begin(session, job, time)
    return Claimed(Lease(job_id, None, token, job.attempt), job)


def _take_chunk(session: Session, job_id: str, idx: int, worker: str, lease_seconds: float) -> Claimed | None:
    token = new_token()
    holder = _holder(job_id, worker, token, lease_seconds) | {"of_idx": idx}
    chunk = session.scalars(_TAKE_CHUNK, holder).one_or_none()
    job = session.get(Job, job_id) if chunk else None
    if chunk is None or job is None:
        return None
    return Claimed(Lease(job_id, idx, token, chunk.attempt), job, chunk)


def _holder(job_id: str, worker: str, token: str, seconds: float) -> dict[str, Any]:
    return {"of_job": job_id, "holder": worker, "new_token": token, "seconds": seconds}


def _held() -> dict[str, ColumnElement[Any]]:
    until = now() + bindparam("seconds", type_=Double())
    return {"worker": bindparam("holder"), "lease_token": bindparam("new_token"), "lease_until": until}


def _taking_job() -> ReturningUpdate[Job]:
    in_time = or_(col(Job.deadline_at).is_(None), col(Job.deadline_at) > now())
    this = col(Job.id) == bindparam("of_job")
    free = select(col(Job.id)).where(this, col(Job.run_at) <= now(), in_time, claimable())
    return (
        update(Job)
        .where(col(Job.id) == free.with_for_update(skip_locked=True).scalar_subquery())
        .values(
            status=JobStatus.PROCESSING,
            stage=case((col(Job.cut_done), Stage.STITCHING), else_=Stage.PREPARING),
            processing_at=func.coalesce(col(Job.processing_at), now()),
            attempt=col(Job.attempt) + 1,
            version=col(Job.version) + 1,
            **_held(),
        )
        .returning(Job)
        .execution_options(synchronize_session=False)
    )


def _taking_chunk() -> ReturningUpdate[Chunk]:
    mine = col(Chunk.job_id) == bindparam("of_job")
    free = select(col(Chunk.idx)).where(
        mine,
        col(Chunk.idx) == bindparam("of_idx"),
        col(Chunk.status) == ChunkStatus.PENDING,
        col(Chunk.sound_key).is_not(None),
        col(Chunk.run_at) <= now(),
        exists().where(col(Job.id) == bindparam("of_job"), col(Job.status) == JobStatus.PROCESSING),
    )
    return (
        update(Chunk)
        .where(mine, col(Chunk.idx) == free.with_for_update(of=Chunk, skip_locked=True).scalar_subquery())
        .values(status=ChunkStatus.RUNNING, attempt=col(Chunk.attempt) + 1, **_held())
        .returning(Chunk)
        .execution_options(synchronize_session=False)
    )


_TAKE_JOB, _TAKE_CHUNK = _taking_job(), _taking_chunk()
