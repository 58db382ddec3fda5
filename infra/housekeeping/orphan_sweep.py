"""Objects of the store to which no row leads: found by listing it, a page at a time, and removed.

Where a sweep is, is a row: whoever comes next goes on from there, and one of several schedulers takes each page. An object is an
orphan when it is older than a day and

    t/ACCOUNT/media/ID          there is no such recording, or it is deleted
    t/ACCOUNT/copies/ID         the recording has no copy for browsers, or is deleted
    t/ACCOUNT/uploads/ID/PART   there is no such part
    t/ACCOUNT/jobs/ID/…         there is no such job, or it is purged; or the job has ended, can be retried no more, the object is
                                of those that each attempt writes anew, and neither the job nor its chunks nor its revisions
                                name it: a worker wrote it that died, or lost its lease

Everything else is somebody else's, and never touched. A page of which more than half are orphans is not one that workers' deaths
explain: more likely this is the store of another database, and nothing is removed until somebody says that it is not.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.session import Database
from infra.database.tables.jobs import Chunk, Job, TranscriptRevision
from infra.database.tables.storage import StorageSweep
from infra.database.tables.uploads import Media, UploadPart
from infra.jobs.stored_bytes import folder_of
from infra.media import copy_key
from infra.storage import ObjectStore
from infra.storage.base import StoredObject
from pipeline.errors import WrongState
from pipeline.lifecycle import TERMINAL, JobStatus

OLD_SECONDS = 24 * 3600.0  # whatever is younger may have a row that is still to come
PAGE = 1000  # objects
TENANTS = "t"  # the folder of all that belongs to accounts
MANY = 100  # orphans in one page, from which on they may be no more than half of it
_NAME = "orphans"
_DEPTH = 4  # t, account, kind, id
_KINDS = ("media", "copies", "uploads", "jobs")
_OF_ATTEMPTS = (
    "sound/",
    "spoken/",
    "heard/",
    "transcript-",
    "speech-",
)  # in a job's folder: workers.job_context names them
_MAY_GO_ON = (JobStatus.FAILED, JobStatus.COMPLETED)  # by a retry, the second of them where it has gaps


@dataclass(frozen=True)
class SweptPage:
    """`after` is where the next one begins; "" : this was the last."""

    after: str
    looked: int
    orphans: list[StoredObject] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """What the orphans take."""
        return sum(orphan.size for orphan in self.orphans)


class OrphanSweep:
    """claim, look, remove, note, position."""

    def __init__(self, database: Database, storage: ObjectStore) -> None:
        self._database = database
        self._storage = storage

    def claim(self, pause: float) -> str | None:
        """Where the next page begins, which is ours for `pause` seconds; None: not yet."""
        due = (col(StorageSweep.id) == _NAME, col(StorageSweep.next_at) <= now())
        with self._database.write() as session:
            taken = (
                update(StorageSweep).where(*due).values(next_at=now() + pause).returning(col(StorageSweep.after_key))
            )
            return session.execute(taken).scalar_one_or_none()

    def look(self, after: str = "", *, old: float = OLD_SECONDS) -> SweptPage:
        """A page of the store from behind the key `after` on, and which of its objects no row needs. Changes nothing."""
        found = list(islice(self._storage.list(TENANTS, after), PAGE))
        before = time.time() - old
        suspects = [one for one in found if one.modified < before]
        with self._database.read() as session:
            needed = _needed(session, [one.key for one in suspects], old)
        orphans = [one for one in suspects if one.key not in needed]
        return SweptPage(found[-1].key if len(found) == PAGE else "", len(found), orphans)

    def remove(self, page: SweptPage, *, sure: bool = False) -> None:
        """Raises WrongState for more than it can believe, unless somebody is `sure`."""
        if not sure and len(page.orphans) >= MANY and 2 * len(page.orphans) > page.looked:
            raise WrongState(
                f"{len(page.orphans)} of {page.looked} objects belong to no row: is this the store of this database? Nothing was "
                "removed. `stenopool storage sweep --dry-run` shows them, `stenopool storage sweep --force` removes them."
            )
        self._storage.delete(*(orphan.key for orphan in page.orphans))

    def note(self, page: SweptPage, *, rest: float) -> None:
        """This page is done. After the last one the sweep rests for so many seconds."""
        with self._database.write() as session:
            sweep = session.get_one(StorageSweep, _NAME, with_for_update=True)
            clock = read_clock(session)
            if not sweep.after_key:
                sweep.began_at, sweep.looked, sweep.orphans, sweep.orphan_bytes = clock, 0, 0, 0
            sweep.after_key = page.after
            sweep.looked += page.looked
            sweep.orphans += len(page.orphans)
            sweep.orphan_bytes += page.bytes
            if not page.after:
                sweep.finished_at, sweep.next_at = clock, clock + rest

    def position(self) -> str:
        """Where the sweep under way goes on; "": a new one begins."""
        with self._database.read() as session:
            return session.get_one(StorageSweep, _NAME).after_key


def _needed(session: Session, keys: Sequence[str], old: float) -> set[str]:
    """Those of them that a row leads to, and those that are not ours to judge."""
    by_kind: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    needed = set()
    for key in keys:
        parts = key.split("/")
        if len(parts) >= _DEPTH and parts[2] in _KINDS:
            by_kind[parts[2]][parts[3]].append(key)
        else:
            needed.add(key)
    needed |= _recordings(session, by_kind["media"])
    needed |= _copies(session, by_kind["copies"])
    needed |= _parts(session, by_kind["uploads"])
    needed |= _of_jobs(session, by_kind["jobs"], old)
    return needed


def _recordings(session: Session, keys: dict[str, list[str]]) -> set[str]:
    there = select(col(Media.storage_key)).where(col(Media.id).in_(keys), col(Media.state) != "deleted")
    return set(session.scalars(there))


def _copies(session: Session, keys: dict[str, list[str]]) -> set[str]:
    copied = select(Media).where(col(Media.id).in_(keys), col(Media.state) != "deleted", col(Media.copied) > 0)
    return {copy_key(media) for media in session.scalars(copied)}


def _parts(session: Session, keys: dict[str, list[str]]) -> set[str]:
    parts = {key.rsplit("/", 1)[1]: key for several in keys.values() for key in several}
    return {parts[part] for part in session.scalars(select(col(UploadPart.id)).where(col(UploadPart.id).in_(parts)))}


def _of_jobs(session: Session, keys: dict[str, list[str]], old: float) -> set[str]:
    kept = select(Job).where(col(Job.id).in_(keys), col(Job.purged_at).is_(None))
    needed, done = set[str](), dict[str, Job]()
    clock = read_clock(session)
    for job in session.scalars(kept):
        if _is_done(job, clock - old):
            done[job.id] = job
            needed.update(key for key in keys[job.id] if not key.removeprefix(folder_of(job)).startswith(_OF_ATTEMPTS))
        else:
            needed.update(keys[job.id])
    for job in done.values():
        needed.update(filter(None, (job.result_key, (job.blobs or {}).get("key"), (job.sound or {}).get("key"))))
    for names in (
        select(col(Chunk.result_key), col(Chunk.sound_key)).where(col(Chunk.job_id).in_(done), _names_something()),
        select(col(TranscriptRevision.result_key), col(TranscriptRevision.storage_key)).where(
            col(TranscriptRevision.job_id).in_(done)
        ),
    ):
        for row in session.execute(names):
            needed.update(filter(None, row))
    return needed


def _is_done(job: Job, before: float) -> bool:
    """Nobody writes for it any more, and no retry would look for what was written."""
    goes_on = job.status in _MAY_GO_ON and (job.partial or job.status != JobStatus.COMPLETED)
    return job.status in TERMINAL and not goes_on and (job.ended_at or before) < before


def _names_something() -> ColumnElement[bool]:
    return or_(col(Chunk.result_key).is_not(None), col(Chunk.sound_key).is_not(None))
