"""Rows of jobs that were purged long ago, many in one transaction: a statement to each table, whatever the number of jobs.

One by one, as their owner deletes them, they are twenty statements each, and a million of them a night and a day.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Row, delete, exists, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now
from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Chunk, Job, JobEvent, TranscriptRevision
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookAttempt, WebhookMessage
from infra.jobs.stored_bytes import uncount
from infra.jobs.transitions import Store
from infra.media import OWN, let_go

_OF_A_JOB = (
    (JobEvent, col(JobEvent.job_id)),
    (Chunk, col(Chunk.job_id)),
    (TranscriptRevision, col(TranscriptRevision.job_id)),
)
Purged = Row[str, str, str | None, int, bool]  # id, account_id, media_id, stored_bytes, kept


class Records(Store):
    """remove_records."""

    def remove_records(self, keep_seconds: float, limit: int) -> int:
        """Jobs purged longer ago than that go, with events, messages and attempts; returns how many, `limit` at most.

        What they had in storage was erased when they were purged; what somebody wrote after that is an orphan, and swept as one.
        """
        old = (
            select(col(Job.id), col(Job.account_id), col(Job.media_id), col(Job.stored_bytes), col(Job.kept))
            .where(col(Job.purged_at) < now() - keep_seconds, col(Job.cleared))
            .order_by(col(Job.purged_at))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.write() as session:
            jobs = session.execute(old).all()
            if jobs:
                _remove(session, jobs)
        return len(jobs)


def _remove(session: Session, jobs: Sequence[Purged]) -> None:
    """Their locks are ours."""
    ids = [job.id for job in jobs]
    named = sorted({job.media_id for job in jobs if job.media_id})
    media = session.scalars(
        select(Media).where(col(Media.id).in_(named)).order_by(col(Media.id)).with_for_update()
    ).all()
    _forget_deliveries(session, ids)
    for table, of_job in _OF_A_JOB:
        session.execute(delete(table).where(of_job.in_(ids)))
    accounts = {job.account_id for job in jobs}
    of_them = (col(IdempotencyKey.account_id).in_(accounts), col(IdempotencyKey.object_id).in_(ids))
    session.execute(delete(IdempotencyKey).where(*of_them))
    session.execute(delete(Job).where(col(Job.id).in_(ids)).execution_options(synchronize_session=False))
    _remove_media(session, media)
    uncount(session, jobs)  # what an older version has purged may still count


def _forget_deliveries(session: Session, ids: Collection[str]) -> None:
    sent = select(col(WebhookMessage.id)).where(col(WebhookMessage.job_id).in_(ids)).order_by(col(WebhookMessage.id))
    messages = session.scalars(sent.with_for_update()).all()  # or an attempt could be logged behind our back
    session.execute(delete(WebhookAttempt).where(col(WebhookAttempt.message_id).in_(messages)))
    session.execute(delete(WebhookMessage).where(col(WebhookMessage.id).in_(messages)))


def _remove_media(session: Session, media: Sequence[Media]) -> None:
    """Those that no other job names, and no account keeps as a file. Most have been deleted long ago, and are rows alone."""
    others = exists().where(col(Job.media_id) == col(Media.id))
    ids = [one.id for one in media if one.state not in OWN]
    unnamed = set(session.scalars(select(col(Media.id)).where(col(Media.id).in_(ids), ~others)))
    for one in media:
        if one.id in unnamed and one.state != "deleted":
            let_go(session, one)
    bare = [one.id for one in media if one.id in unnamed and one.state == "deleted"]
    session.flush()
    session.execute(delete(Media).where(col(Media.id).in_(bare)).execution_options(synchronize_session=False))
