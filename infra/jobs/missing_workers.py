"""Roles of which no worker lives: whoever waits for one is told so, and told again when one has come."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now
from infra.database.tables.jobs import Job
from infra.database.tables.shares import Lane, WaitingWork
from infra.database.tables.workers import Worker
from infra.jobs.job_walk import JobWalk
from infra.jobs.outages import tell_wait, told_to_go_on
from infra.jobs.transitions import note
from pipeline.errors import NoWorker
from pipeline.lifecycle import LIVE, Dependency, Stage

_STAGE = Stage.waiting_for(Dependency.WORKER)


class MissingWorkers(JobWalk):
    """unserved, miss_workers, stop_missing_workers."""

    def unserved(self, seconds: float) -> list[str]:
        """Roles of which no worker has been seen for so long, while work that it could do has waited as long."""
        served = exists().where(col(Worker.role) == col(Lane.role), col(Worker.seen_at) > now() - seconds)
        waits = exists().where(col(WaitingWork.role) == col(Lane.role), col(WaitingWork.run_at) < now() - seconds)
        with self._database.read() as session:
            return sorted(session.scalars(select(col(Lane.role)).where(~served, waits)))

    def miss_workers(self, roles: Collection[str], seconds: float, limit: int = 100) -> int:
        """Jobs on which nobody works, and of which something has waited for one of these roles for so long, say that they wait
        for a worker. Returns how many have begun to.
        """
        waits = _waits_for(roles, col(WaitingWork.run_at) < now() - seconds)
        idle = (col(Job.status).in_(LIVE), col(Job.lease_token).is_(None), col(Job.stage) != _STAGE)
        told = self._each(select(col(Job.id)).where(waits, *idle), limit, partial(_miss, roles))
        return sum(told.values())

    def stop_missing_workers(self, roles: Collection[str], limit: int = 100) -> int:
        """Jobs that said so, and wait for none of these roles any more, go on. Returns how many."""
        those = select(col(Job.id)).where(col(Job.status).in_(LIVE), col(Job.stage) == _STAGE, ~_waits_for(roles))
        return sum(self._each(those, limit, _go_on).values())


def _waits_for(roles: Collection[str], *more: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(col(WaitingWork.job_id) == col(Job.id), col(WaitingWork.role).in_(roles), *more)


def _miss(roles: Collection[str], session: Session, job: Job, time: float) -> int:
    still = select(exists().where(col(WaitingWork.job_id) == job.id, col(WaitingWork.role).in_(roles)))
    if job.lease_token is not None or job.stage == _STAGE or not session.execute(still).scalar_one():
        return 0
    tell_wait(session, job, Dependency.WORKER, NoWorker().as_dict(), time)
    return 1


def _go_on(session: Session, job: Job, time: float) -> int:
    if job.status not in LIVE or job.stage != _STAGE or not told_to_go_on(job):
        return 0
    note(session, job, "resumed", time)
    return 1
