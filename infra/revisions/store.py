"""Which revisions a job's transcript has. What they change is in the job's folder of the object store, and goes with it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.jobs import Job, TranscriptRevision
from infra.jobs.stored_bytes import count
from infra.jobs.transitions import lock_own_job, note
from pipeline.errors import EditConflict, Expired, NotFound, WrongState
from pipeline.lifecycle import ACTIONS


@dataclass(frozen=True, kw_only=True)
class NewRevision:
    """What a door has stored. `result_key`: of the original; `based_on`: the revision that its writer saw, 0 the original."""

    based_on: int
    result_key: str
    storage_key: str
    size: int
    changes: int
    key_id: str | None = None


class Revisions:
    """Each job's, numbered from 1; the latest is what a person sees."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self, job_id: str) -> TranscriptRevision | None:
        """None where there is only the original."""
        newest = select(TranscriptRevision).where(col(TranscriptRevision.job_id) == job_id)
        with self._database.read() as session:
            return session.scalars(newest.order_by(col(TranscriptRevision.n).desc()).limit(1)).one_or_none()

    def get(self, job_id: str, number: int) -> TranscriptRevision:
        """Raises NotFound."""
        with self._database.read() as session:
            found = session.get(TranscriptRevision, (job_id, number))
        if found is None:
            raise NotFound(f"The transcript has no revision {number}.")
        return found

    def all(self, job_id: str, *, after: int = 0, limit: int = 100) -> list[TranscriptRevision]:
        """In order."""
        these = select(TranscriptRevision).where(
            col(TranscriptRevision.job_id) == job_id, col(TranscriptRevision.n) > after
        )
        with self._database.read() as session:
            return list(session.scalars(these.order_by(col(TranscriptRevision.n)).limit(limit)))

    def add(self, account_id: str, job_id: str, new: NewRevision) -> TranscriptRevision:
        """One more. Raises EditConflict where another one came before it, NotFound, Expired, WrongState."""
        with self._database.write() as session:
            job = lock_own_job(session, account_id, job_id)
            _want_text(job)
            time = read_clock(session)
            numbers = select(col(TranscriptRevision.n)).where(col(TranscriptRevision.job_id) == job_id)
            last = session.scalars(numbers.order_by(col(TranscriptRevision.n).desc()).limit(1)).one_or_none() or 0
            if last != new.based_on:
                raise EditConflict(current_revision=last)
            row = TranscriptRevision(
                job_id=job_id,
                n=last + 1,
                result_key=new.result_key,
                storage_key=new.storage_key,
                changes=new.changes,
                key_id=new.key_id,
                created_at=time,
            )
            session.add(row)
            count(session, job, new.size, refuse=False)
            job.version += 1
            note(session, job, "edited", time, revision=row.n)
        return row


def _want_text(job: Job) -> None:
    if job.purged_at is not None:
        raise Expired("The job's results have been deleted.")
    if job.status not in ACTIONS["transcript"]:
        raise WrongState(
            "A transcript can be corrected once the job is completed.",
            current_status=job.status,
            allowed_statuses=sorted(ACTIONS["transcript"]),
        )
