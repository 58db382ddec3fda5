"""One thing done to many jobs, each in a transaction of its own under its lock.

One on which it fails is logged and passed over, so that it cannot starve those behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.tables.jobs import Job
from infra.jobs.transitions import Store, lock_job
from pipeline.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

PAGES = 20  # at most, of `limit` rows each, in one call


class JobWalk(Store):
    """What its heirs use: _each, _try."""

    def _each(
        self, ids: Select[str], limit: int, act: Callable[[Session, Job, float], int], *, wait: bool = False
    ) -> dict[str, int]:
        """Do `act` to every job in `ids`, each in a transaction of its own under its lock; returns what acted on how much.

        Jobs that somebody else has locked are passed over, unless it is to `wait` for them.
        """
        done: dict[str, int] = {}
        after = ""
        for _ in range(PAGES):
            with self._database.read() as session:
                page = list(session.scalars(ids.where(col(Job.id) > after).order_by(col(Job.id)).limit(limit)))
            done |= {job_id: n for job_id in page if (n := self._try(job_id, act, wait))}
            if len(page) < limit:
                break
            after = page[-1]
        return done

    def _try(self, job_id: str, act: Callable[[Session, Job, float], int], wait: bool = False) -> int:
        try:
            with self._database.write() as session:
                job = lock_job(session, job_id, skip_locked=not wait)
                return 0 if job is None else act(session, job, read_clock(session))
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("the sweep passes over job %s", job_id)
            return 0
