"""The end of a job, once per run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.erasures import erase
from infra.database.tables.jobs import Chunk, Job
from infra.jobs.chunks import disarm, gaps, heard
from infra.jobs.stored_bytes import SPEECH, count, drop_blobs, folder_of
from infra.jobs.timing.phases import note_finish
from infra.jobs.transitions import Lease, Store, all_heard, end, held_job, note, put_back
from infra.keys.account_limits import take_stored
from infra.money import job_minutes
from pipeline.cut.holes import owned_by
from pipeline.errors import unusable_media
from pipeline.lifecycle import ChunkStatus, JobStatus
from pipeline.pricing import Usage


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What came out. `gaps` None: the store computes them from the failed chunks."""

    result_key: str
    size: int = 0  # bytes of the result
    spent: Mapping[str, float] = field(default_factory=dict)  # seconds, by phase (infra/jobs/timing/phases.py)
    model_used: str | None = None
    language: str | None = None
    partial: bool = False
    gaps: list[dict[str, Any]] | None = None
    quality: dict[str, Any] | None = None
    sound: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class HeardChunk:
    """The only chunk of a short recording, heard by the worker that prepared it. `span`: pipeline.cut.cutter.span_as_dict."""

    span: dict[str, Any]
    result_key: str | None = None
    model_used: str | None = None
    usage: Usage | None = None


class Completion(Store):
    """finish, want_room, put_off, fail. All raise LeaseLost when fenced."""

    def finish(self, lease: Lease, finished: Finished, single_chunk: HeardChunk | None = None) -> Job:
        """Completed, with event and outbox rows, in one transaction. Raises LimitExceeded for sound without room."""
        with self._database.write() as session:
            job = held_job(session, lease)
            time = read_clock(session)
            if single_chunk is not None:
                _keep_single(session, job, single_chunk, time)
            assert all_heard(job), f"{job.id} is not heard to its end"
            job.result_key = finished.result_key
            job.model_used = finished.model_used
            job.language = finished.language
            job.gaps = finished.gaps if finished.gaps is not None else _gaps_if_any(session, job)
            job.partial = finished.partial or bool(job.gaps)
            job.quality = finished.quality
            job.sound = finished.sound
            _count_result(session, job, finished.size, time)
            note_finish(job, finished.spent, time)
            end(session, job, JobStatus.COMPLETED, time)
            if not job.partial:  # which cannot be retried
                drop_blobs(session, job, time)
        return job

    def want_room(self, lease: Lease, size: int) -> None:
        """Room for the job's sound of so many bytes, in place of all it has stored until now. Raises LimitExceeded."""
        with self._database.write() as session:
            job = held_job(session, lease)
            more = size - job.stored_bytes
            if more > 0:
                take_stored(session, job.account_id, more)
            session.rollback()  # only asked: the sound itself is what counts

    def put_off(self, lease: Lease, error: dict[str, Any], seconds: float) -> bool:
        """Put back, due in so many seconds, because of a day's limit; what is heard from then on counts on that day.

        False where the job's deadline is before that: nothing has happened.
        """
        with self._database.write() as session:
            job = held_job(session, lease)
            time = read_clock(session)
            until = time + seconds
            if job.deadline_at is not None and job.deadline_at <= until:
                return False
            _put_off(session, job, until, error)
            note(session, job, "put_off", time, error=error, until=round(until))
        return True

    def fail(self, lease: Lease, error: dict[str, Any], retry_in: float | None = None) -> Job:
        """Failed for good; or put back, due in `retry_in` seconds, with `failures` + 1."""
        with self._database.write() as session:
            job = held_job(session, lease)
            time = read_clock(session)
            if retry_in is None:
                if unusable_media(error):
                    job.input = {**job.input, "unusable": error}
                end(session, job, JobStatus.FAILED, time, error)
            else:
                job.failures += 1
                job.waits_for = None
                put_back(job, time + retry_in)
                note(session, job, "retrying", time, error=error, retry_in=retry_in)
        return job


def _put_off(session: Session, job: Job, until: float, error: dict[str, Any]) -> None:
    put_back(job, until)
    job.waits_for = None
    job.waiting = {name: error.get(name) for name in ("code", "message", "param")}
    job_minutes.put_off(session, job)


def _count_result(session: Session, job: Job, size: int, now: float) -> None:
    """Of a text, what was spoken chunk by chunk goes: its sound has taken that place."""
    if job.task == SPEECH:
        erase(session, f"{folder_of(job)}spoken/", now)
        kept = int((job.sound or {}).get("bytes", 0)) + int((job.blobs or {}).get("bytes", 0))
        count(session, job, size + kept - job.stored_bytes, refuse=True)
    else:
        count(session, job, size, refuse=False)


def _gaps_if_any(session: Session, job: Job) -> list[dict[str, Any]]:
    return gaps(session, job) if job.chunks_failed else []


def _keep_single(session: Session, job: Job, single: HeardChunk, now: float) -> None:
    """The chunk was never sent out: its row appears completed. Rows of an earlier run that cut otherwise go."""
    if job.chunks_total:
        earlier = select(Chunk).where(col(Chunk.job_id) == job.id).order_by(col(Chunk.idx)).with_for_update()
        for chunk in session.scalars(earlier).all():
            disarm(session, job, chunk, now)
            session.delete(chunk)
        session.flush()
    chunk = Chunk(
        job_id=job.id,
        idx=0,
        span=json.loads(json.dumps(single.span)),
        status=ChunkStatus.COMPLETED,
        attempt=1,
        run_at=now,
        result_key=single.result_key,
        model_used=single.model_used,
    )
    session.add(chunk)
    job.chunks_total = 1
    job.cut_done = True
    heard(session, job, chunk, single.usage)
    job.audio_samples = max(job.audio_samples, owned_by(single.span))
