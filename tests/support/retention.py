"""The end of a job's retention, now."""

from sqlalchemy import update
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.jobs import Job
from infra.jobs.store import JobStore


def purge(database: Database, jobs: JobStore, *job_ids: str) -> set[str]:
    """Those of them that have ended lose their results; their ids."""
    with database.write() as session:
        session.execute(update(Job).where(col(Job.id).in_(job_ids)).values(expires_at=1.0))
    return jobs.purged(job_ids)
