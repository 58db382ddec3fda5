"""What a caller may do to a job."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.erasures import erase
from infra.database.tables.jobs import Chunk, Job, JobEvent, TranscriptRevision
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookAttempt, WebhookMessage
from infra.idempotency import forget_made
from infra.jobs.chunks import disarm
from infra.jobs.stored_bytes import count_again, folder_of, leave_cancelled, lock_media
from infra.jobs.transitions import Store, cancel_chunks, close_if_idle, end, lock_own_job, move, note
from infra.media import OWN, USABLE, let_go
from infra.money.handed_out import mark
from infra.money.job_money import hold_again, settle
from pipeline.errors import Expired, WrongState
from pipeline.lifecycle import ACTIONS, TERMINAL, ChunkStatus, JobStatus, Stage

Within = Callable[[Session, Job], None]  # something of somebody else's that belongs into the same transaction
LATE_WRITES = 60.0  # seconds after a deletion in which a worker that was thought dead might still write an object


class CancelRetryDelete(Store):
    """cancel, retry, delete. All raise NotFound, and WrongState(current_status, allowed_statuses)."""

    def cancel(self, account_id: str, job_id: str, *, within: Within = lambda _session, _job: None) -> Job:
        """Cancelled at once where nobody works on it, else cancelling; what is held for it is free at once in any case.

        Again: the job as it is.
        """
        with self._database.write() as session:
            job = lock_own_job(session, account_id, job_id)
            if job.status in (JobStatus.CANCELLING, JobStatus.CANCELLED):
                return job
            want_status(job, "cancel")
            within(session, job)
            stop(session, job, read_clock(session))
        return job

    def retry(self, account_id: str, job_id: str, *, within: Within = lambda _session, _job: None) -> Job:
        """A new run of a failed or partial job, which redoes only what failed, and holds money for that alone.

        Raises Expired when its media is deleted, InsufficientBalance.
        """
        with self._database.write() as session:
            job = lock_own_job(session, account_id, job_id)
            want_status(job, "retry")
            if job.status == JobStatus.COMPLETED and not job.partial:
                raise WrongState(
                    "The job is complete: there is nothing to retry.",
                    current_status=str(job.status),
                    allowed_statuses=[str(JobStatus.FAILED)],
                )
            _want_media(session, job)
            if job.status == JobStatus.COMPLETED:
                mark(session, job)
            _begin_run(session, job, read_clock(session))
            hold_again(session, job)
            within(session, job)
        return job

    def delete(self, account_id: str, job_id: str, force: bool = False) -> Job:
        """The row as it was; row and children are gone. The caller deletes its storage; what it misses, the sweep erases."""
        with self._database.write() as session:
            job = lock_own_job(session, account_id, job_id)
            if not force:
                want_status(job, "delete")
            time = read_clock(session)
            media = lock_media(session, job)
            if job.status not in TERMINAL:
                settle(session, job, JobStatus.CANCELLED)
            count_again(session, job)
            session.flush()
            _delete_children(session, job)
            session.execute(delete(Job).where(col(Job.id) == job.id))
            session.expunge(job)
            erase(session, folder_of(job), time + LATE_WRITES)
            _delete_media(session, media)
        return job


def stop(session: Session, job: Job, now: float) -> None:
    """Cancelled, or cancelling while somebody works on it; in any case nothing more of it is begun or paid."""
    if job.status != JobStatus.PROCESSING:
        end(session, job, JobStatus.CANCELLED, now)
        return
    cancel_chunks(session, job.id, (ChunkStatus.PENDING,))
    if not close_if_idle(session, job, now):
        move(job, JobStatus.CANCELLING, now)
        leave_cancelled(session, job, now)
        settle(session, job, JobStatus.CANCELLED)
        note(session, job, JobStatus.CANCELLING, now)


def want_status(job: Job, action: str) -> None:
    """Raises WrongState."""
    allowed = ACTIONS[action]
    if job.status not in allowed:
        raise WrongState(
            f"A job that is {job.status} cannot be {_PARTICIPLE[action]}.",
            current_status=str(job.status),
            allowed_statuses=sorted(str(status) for status in allowed),
        )


_PARTICIPLE = {"cancel": "cancelled", "retry": "retried", "delete": "deleted", "pay": "paid for"}


def _want_media(session: Session, job: Job) -> None:
    """Raises Expired: what is gone cannot be heard again. What is known to be unusable need not be there to be told so."""
    if job.purged_at is None and job.input.get("unusable"):
        return
    media = session.get(Media, job.media_id, with_for_update=True) if job.media_id else None
    if job.purged_at is not None or (media is not None and media.state not in USABLE):
        raise Expired("The job's media has been deleted.")


def _begin_run(session: Session, job: Job, now: float) -> None:
    chunks = select(Chunk).where(col(Chunk.job_id) == job.id, col(Chunk.status) != ChunkStatus.COMPLETED)
    again = session.scalars(chunks.order_by(col(Chunk.idx)).with_for_update()).all()
    for chunk in again:
        disarm(session, job, chunk, now)
    move(job, JobStatus.QUEUED, now)
    job.run += 1
    job.stage = Stage.WAITING
    job.lost = job.failures = 0
    job.waits_since = job.waiting = job.timing = None
    job.cut_done = job.cut_done and not again  # the sound of chunks that ended is gone: cut once more
    job.chunks_retried += len(again)
    job.run_at = now
    job.dispatched_at = None
    job.deadline_at = None if job.timeout_seconds is None else now + job.timeout_seconds
    job.processing_at = job.completed_at = job.failed_at = job.ended_at = job.expires_at = None
    job.result_key = job.model_used = job.language = job.error = job.gaps = job.quality = None
    job.partial = False
    note(session, job, "retry", now, run=job.run, chunks=len(again))


def _delete_children(session: Session, job: Job) -> None:
    sent = select(col(WebhookMessage.id)).where(col(WebhookMessage.job_id) == job.id)
    messages = session.scalars(sent.with_for_update()).all()  # or an attempt could be logged behind our back
    session.execute(delete(WebhookAttempt).where(col(WebhookAttempt.message_id).in_(messages)))
    session.execute(delete(WebhookMessage).where(col(WebhookMessage.job_id) == job.id))
    session.execute(delete(JobEvent).where(col(JobEvent.job_id) == job.id))
    session.execute(delete(Chunk).where(col(Chunk.job_id) == job.id))
    session.execute(delete(TranscriptRevision).where(col(TranscriptRevision.job_id) == job.id))
    forget_made(session, job.account_id, job.id)


def _delete_media(session: Session, media: Media | None) -> None:
    """Unless another job names it, or the account keeps it as a file."""
    if media is None or media.state in OWN:
        return
    if session.execute(select(col(Job.id)).where(col(Job.media_id) == media.id).limit(1)).first() is None:
        let_go(session, media)
