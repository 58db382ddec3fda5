"""What is deleted when its time is over.

Each query hands out what is to be deleted from storage; the caller deletes it and says so. When it dies in between, the
next one does it again: deleting what is gone is no error.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.erasures import erase_all
from infra.database.tables.jobs import Chunk, Job, JobEvent, TranscriptRevision
from infra.database.tables.storage import Erasure
from infra.jobs.retention.clearing import CHANGED_JOBS, clear
from infra.jobs.stored_bytes import folder_of, uncount
from infra.jobs.transitions import Store
from pipeline.lifecycle import TERMINAL, ChunkStatus

ERASE_AGAIN = 60.0  # seconds until an erasure that was not confirmed is handed out once more
_ENDED_CHUNK = (ChunkStatus.COMPLETED, ChunkStatus.FAILED, ChunkStatus.CANCELLED)
_DUE = (col(Job.expires_at) <= now(), col(Job.purged_at).is_(None), col(Job.status).in_(TERMINAL))


@dataclass(frozen=True)
class Sound:
    """A chunk's stored sound that nobody needs any more."""

    job_id: str
    idx: int
    sound_key: str


class Retention(Store):
    """due_for_purge, purged, sound_to_drop, sound_dropped, to_erase, erased."""

    def due_for_purge(self, limit: int = 100, without: Collection[str] = ()) -> list[str]:
        """Ids of ended jobs past `expires_at` whose results are still there, those that wait longest first.

        Their media is not meant: MediaStore.unneeded hands it out.
        """
        due = select(col(Job.id)).where(*_DUE, col(Job.id).not_in(without)).order_by(col(Job.expires_at)).limit(limit)
        with self._database.read() as session:
            return list(session.scalars(due))

    def purged(self, job_ids: Collection[str]) -> set[str]:
        """Their results are gone, and the store's are erased next; the rows stay, so that callers hear `expired` and not `not
        found`, and say little (infra/jobs/retention/clearing.py).

        All in one transaction; which: not those that are not due any more, or that somebody else has at this moment.
        """
        these = select(Job).where(*_DUE, col(Job.id).in_(job_ids)).order_by(col(Job.id))
        with self._database.write() as session:
            jobs = session.scalars(these.with_for_update(skip_locked=True)).all()
            if jobs:
                _purge(session, jobs)
        return {job.id for job in jobs}

    def sound_to_drop(self, limit: int = 500) -> list[Sound]:
        """The sound of terminal chunks. Delete the objects, then call `sound_dropped`."""
        ended = (
            select(col(Chunk.job_id), col(Chunk.idx), col(Chunk.sound_key))
            .where(col(Chunk.status).in_(_ENDED_CHUNK), col(Chunk.sound_key).is_not(None))
            .limit(limit)
        )
        with self._database.read() as session:
            return [Sound(job_id, idx, key) for job_id, idx, key in session.execute(ended) if key]

    def sound_dropped(self, sounds: Sequence[Sound]) -> None:
        """These objects are gone."""
        with self._database.write() as session:
            for sound in sorted(sounds, key=lambda sound: (sound.job_id, sound.idx)):
                session.execute(
                    update(Chunk)
                    .where(
                        col(Chunk.job_id) == sound.job_id,
                        col(Chunk.idx) == sound.idx,
                        col(Chunk.sound_key) == sound.sound_key,
                        col(Chunk.status).in_(_ENDED_CHUNK),
                    )
                    .values(sound_key=None)
                )

    def to_erase(self, limit: int = 100) -> list[str]:
        """What nothing refers to any more: folders of the object store, ending in `/`, and single keys.

        Delete them, then call `erased`.
        """
        due = select(Erasure).where(col(Erasure.due_at) <= now()).order_by(col(Erasure.due_at)).limit(limit)
        with self._database.write() as session:
            erasures = session.scalars(due.with_for_update(skip_locked=True)).all()
            again = read_clock(session) + ERASE_AGAIN
            for erasure in erasures:
                erasure.due_at = again  # those that cannot be deleted do not starve the others
            return [erasure.place for erasure in erasures]

    def erased(self, places: Sequence[str]) -> None:
        """These are gone."""
        with self._database.write() as session:
            session.execute(delete(Erasure).where(col(Erasure.place).in_(places)))


def _purge(session: Session, jobs: Sequence[Job]) -> None:
    """Their locks are ours. As many statements for a hundred as for one."""
    ids, time = [job.id for job in jobs], read_clock(session)
    _forget_chunks(session, ids)
    session.execute(delete(TranscriptRevision).where(col(TranscriptRevision.job_id).in_(ids)))
    erase_all(session, [folder_of(job) for job in jobs], time)
    gone = {"purged_at": time, "result_key": None, "stored_bytes": 0, "kept": False}
    rows = zip(clear(session, jobs), jobs, strict=True)
    session.execute(CHANGED_JOBS, [{**row, **gone, "version": job.version + 1} for row, job in rows])
    session.execute(insert(JobEvent), [{"job_id": job_id, "at": time, "type": "purged"} for job_id in ids])
    uncount(session, jobs)


def _forget_chunks(session: Session, ids: Collection[str]) -> None:
    """Locked in order first: whoever says that the sound of some is dropped locks many, too."""
    of_them = col(Chunk.job_id).in_(ids)
    session.execute(select(col(Chunk.idx)).where(of_them).order_by(col(Chunk.job_id), col(Chunk.idx)).with_for_update())
    session.execute(delete(Chunk).where(of_them))
