"""What the operator of an installation sees of all accounts' jobs. Callers of the API never get here."""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables import Job
from pipeline.errors import NotFound


class Overview:
    """Read-only, one short transaction per question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def jobs(self, *, limit: int, status: str | None = None, account_id: str | None = None) -> list[Job]:
        """The latest `limit` jobs, of every account or of one."""
        query = select(Job).order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)
        if status is not None:
            query = query.where(col(Job.status) == status)
        if account_id is not None:
            query = query.where(col(Job.account_id) == account_id)
        with self._database.read() as session:
            return list(session.scalars(query))

    def job(self, job_id: str) -> Job:
        """Raises NotFound."""
        with self._database.read() as session:
            found = session.get(Job, job_id)
        if found is None:
            raise NotFound(f"There is no job {job_id!r}.")
        return found
