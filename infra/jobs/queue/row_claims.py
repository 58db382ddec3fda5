"""The claim itself: one conditional UPDATE that only one worker wins, with an attempt number and a token that fence."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, exists, func, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.ids import new_token
from infra.database.tables import Chunk, Job
from infra.jobs.transitions import Lease, claimable, note, try_number
from pipeline.lifecycle import ChunkStatus, JobStatus, Stage


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
    in_time = or_(col(Job.deadline_at).is_(None), col(Job.deadline_at) > now())
    free = select(col(Job.id)).where(col(Job.id) == job_id, col(Job.run_at) <= now(), in_time, claimable())
    statement = (
        update(Job)
        .where(col(Job.id) == free.with_for_update(skip_locked=True).scalar_subquery())
        .values(
            status=JobStatus.PROCESSING,
            stage=case((col(Job.cut_done), Stage.STITCHING), else_=Stage.PREPARING),
            processing_at=func.coalesce(col(Job.processing_at), now()),
            attempt=col(Job.attempt) + 1,
            version=col(Job.version) + 1,
            **_held_by(worker, token, lease_seconds),
        )
        .returning(Job)
    )
    job = session.scalars(statement).one_or_none()
    if job is None:
        return None
    if job.waits_for is None or job.waiting is None:  # who only asks whether an outage is over has nothing new to tell
        note(session, job, job.stage, read_clock(session), attempt=try_number(job), worker=worker)
    return Claimed(Lease(job_id, None, token, job.attempt), job)


def _take_chunk(session: Session, job_id: str, idx: int, worker: str, lease_seconds: float) -> Claimed | None:
    token = new_token()
    free = select(col(Chunk.idx)).where(
        col(Chunk.job_id) == job_id,
        col(Chunk.idx) == idx,
        col(Chunk.status) == ChunkStatus.PENDING,
        col(Chunk.sound_key).is_not(None),
        col(Chunk.run_at) <= now(),
        exists().where(col(Job.id) == job_id, col(Job.status) == JobStatus.PROCESSING),
    )
    statement = (
        update(Chunk)
        .where(
            col(Chunk.job_id) == job_id,
            col(Chunk.idx) == free.with_for_update(of=Chunk, skip_locked=True).scalar_subquery(),
        )
        .values(
            status=ChunkStatus.RUNNING,
            attempt=col(Chunk.attempt) + 1,
            **_held_by(worker, token, lease_seconds),
        )
        .returning(Chunk)
    )
    chunk = session.scalars(statement).one_or_none()
    job = session.get(Job, job_id) if chunk else None
    if chunk is None or job is None:
        return None
    return Claimed(Lease(job_id, idx, token, chunk.attempt), job, chunk)


def _held_by(worker: str, token: str, seconds: float) -> dict[str, str | ColumnElement[float]]:
    return {"worker": worker, "lease_token": token, "lease_until": now() + seconds}
