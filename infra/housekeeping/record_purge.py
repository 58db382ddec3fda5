"""Rows that say what once was: jobs whose results are long gone, the log of their deliveries, batches that ended.

They go as if their owner had deleted them. Receipts, the ledger and the audit log stay: they are what accounts are settled by.
"""

from __future__ import annotations

import logging

from sqlalchemy import delete, func, select
from sqlmodel import col

from infra.database.clock import now
from infra.database.session import Database
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.webhooks import WebhookAttempt, WebhookMessage
from infra.jobs.store import JobStore

log = logging.getLogger(__name__)

AT_ONCE = 100  # rows of one kind in one step
_LINES = 5000  # of a batch in one transaction


class RecordPurge:
    """step."""

    def __init__(self, database: Database, jobs: JobStore) -> None:
        self._database = database
        self._jobs = jobs

    def step(self, keep_seconds: float) -> bool:
        """Remove some of what is older; True: there is more."""
        jobs = self._jobs.remove_records(keep_seconds, AT_ONCE)  # whoever asks for one then hears `not found`
        return any([jobs == AT_ONCE, self._messages_gone(keep_seconds), self._batches_gone(keep_seconds)])

    def _messages_gone(self, keep_seconds: float) -> bool:
        """Messages about anything but a job, once they are delivered or given up."""
        old = select(col(WebhookMessage.id)).where(
            col(WebhookMessage.job_id).is_(None),
            col(WebhookMessage.status) != "pending",
            col(WebhookMessage.created_at) < now() - keep_seconds,
        )
        with self._database.write() as session:
            ids = list(session.scalars(old.order_by(col(WebhookMessage.id)).limit(AT_ONCE).with_for_update()))
            session.execute(delete(WebhookAttempt).where(col(WebhookAttempt.message_id).in_(ids)))
            session.execute(delete(WebhookMessage).where(col(WebhookMessage.id).in_(ids)))
        return len(ids) == AT_ONCE

    def _batches_gone(self, keep_seconds: float) -> bool:
        """Batches that ended that long ago; a long one line by line first. Their files are their owner's, and stay."""
        ended = func.coalesce(
            col(Batch.completed_at), col(Batch.failed_at), col(Batch.expired_at), col(Batch.cancelled_at)
        )
        old = select(col(Batch.id)).where(ended < now() - keep_seconds).order_by(col(Batch.id)).limit(1)
        with self._database.write() as session:
            batch_id = session.scalars(old.with_for_update()).one_or_none()
            if batch_id is None:
                return False
            some = select(col(BatchLine.n)).where(col(BatchLine.batch_id) == batch_id).limit(_LINES)
            lines = list(session.scalars(some))
            session.execute(delete(BatchLine).where(col(BatchLine.batch_id) == batch_id, col(BatchLine.n).in_(lines)))
            if len(lines) < _LINES:
                session.execute(delete(Batch).where(col(Batch.id) == batch_id))
                log.info("removed the rows of batch %s", batch_id)
        return True
