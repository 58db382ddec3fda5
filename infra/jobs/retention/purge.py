"""What is deleted when its time is over.

Each query hands out what is to be deleted from storage; the caller deletes it and says so. When it dies in between, the
next one does it again: deleting what is gone is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.erasures import erase
from infra.database.tables.jobs import Chunk, Job, TranscriptRevision
from infra.database.tables.storage import Erasure
from infra.jobs.retention.clearing import clear
from infra.jobs.stored_bytes import count_again, folder_of
from infra.jobs.transitions import Store, lock_job, note
from pipeline.lifecycle import TERMINAL, ChunkStatus

ERASE_AGAIN = 60.0  # seconds until an erasure that was not confirmed is handed out once more
_ENDED_CHUNK = (ChunkStatus.COMPLETED, ChunkStatus.FAILED, ChunkStatus.CANCELLED)


@dataclass(frozen=True)
class Sound:
    """A chunk's stored sound that nobody needs any more."""

    job_id: str
    idx: int
    sound_key: str


class Retention(Store):
    """due_for_purge, purged, sound_to_drop, sound_dropped, to_erase, erased."""

    def due_for_purge(self, limit: int = 100, after_id: str = "") -> list[Job]:
        """Ended jobs past `expires_at` whose results are still there, by id; `after_id` pages past those that resist.

        Their media is not meant: MediaStore.unneeded hands it out.
        """
        due = (
            select(Job)
            .where(
                col(Job.expires_at) <= now(),
                col(Job.purged_at).is_(None),
                col(Job.status).in_(TERMINAL),
                col(Job.id) > after_id,
            )
            .order_by(col(Job.id))
            .limit(limit)
        )
        with self._database.read() as session:
            return list(session.scalars(due))

    def purged(self, job_id: str) -> None:
        """Its results are gone, and the store's are erased next; the row stays, so that the caller hears `expired` and not
        `not found`, and says little (infra/jobs/retention/clearing.py)."""
        with self._database.write() as session:
            job = lock_job(session, job_id)
            if job is None or job.status not in TERMINAL or job.purged_at is not None:
                return
            session.execute(delete(Chunk).where(col(Chunk.job_id) == job_id))
            session.execute(delete(TranscriptRevision).where(col(TranscriptRevision.job_id) == job_id))
            job.purged_at = read_clock(session)
            job.result_key = None
            job.version += 1
            erase(session, folder_of(job), job.purged_at)
            clear(session, job)
            note(session, job, "purged", job.purged_at)
            count_again(session, job)

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
