"""The archive lane: what has the priority `low` is claimed when nothing else of anybody waits, and so takes only what is left over.

`complete_by` lets a job out of it in time: in the last quarter of the time that it was given, or when less than twice its sound's
length is left. Then it has the priority `normal`, as everything has whose owner said nothing.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, TextClause, or_, select, text, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.tables.jobs import Job
from infra.database.tables.shares import WaitingWork
from infra.jobs.transitions import Store, note
from infra.keys.tiers import LOW, NORMAL
from pipeline.lifecycle import LIVE

LAST_PART = 0.25  # of a job's time, in which it rises
LENGTHS = 2.0  # of its sound, which it should have left
AT_ONCE = 200  # jobs in one transaction
_WAITS_LOW = text("jobs.complete_by IS NOT NULL AND jobs.priority <= -10")  # as the partial index says it


def in_lane(*, archive: bool) -> ColumnElement[bool]:
    """Whether a piece of work is in the archive lane, or in the other one."""
    return col(WaitingWork.rank) >= -LOW if archive else col(WaitingWork.rank) < -LOW


class ArchiveLane(Store):
    """raise_due, raise_batch."""

    def raise_due(self) -> list[str]:
        """Jobs that would be late for their `complete_by` leave the lane; their ids."""
        given = col(Job.complete_by) - col(Job.created_at)
        late = or_(
            col(Job.complete_by) - LAST_PART * given <= now(),
            col(Job.complete_by) - LENGTHS * col(Job.size_ms) / 1000.0 <= now(),
        )
        return self._raise(_WAITS_LOW, late)

    def raise_batch(self, batch_id: str) -> list[str]:
        """The same for those jobs of a batch that are in the lane."""
        return self._raise(col(Job.batch_id) == batch_id, col(Job.priority) <= LOW)

    def _raise(self, *which: ColumnElement[bool] | TextClause) -> list[str]:
        some = select(Job).where(*which, col(Job.status).in_(LIVE)).order_by(col(Job.id)).limit(AT_ONCE)
        with self._database.read() as session:  # mostly there is none, and nobody need wait for us to see that
            if session.scalars(some.limit(1)).first() is None:
                return []
        with self._database.write() as session:
            jobs = session.scalars(some.with_for_update(skip_locked=True)).all()
            for job in jobs:
                _raise_one(session, job)
            return [job.id for job in jobs]


def _raise_one(session: Session, job: Job) -> None:
    """Its pieces that wait already are told, too: their rank was read when they came."""
    job.priority = NORMAL
    job.version += 1
    note(session, job, "raised", read_clock(session), complete_by=job.complete_by)
    session.flush()
    pieces = update(WaitingWork).where(col(WaitingWork.job_id) == job.id)
    session.execute(pieces.values(rank=-NORMAL).execution_options(synchronize_session=False))
