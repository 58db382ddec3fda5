"""What a job keeps in storage, counted in its account's quota in the transactions that change it.

    created      its blobs; it is one of the account's results
    a chunk      its sound while it waits to be heard; then what was heard or spoken of it
    completed    the transcript, edits of it, and how loud the sound is, and no more its blobs unless it is partial; of a text
                 its sound, too, and no more what was spoken chunk by chunk
    cancelled    nothing: its media, unless it is a file, its sound and its blobs leave the store within a minute, and text
                 that was heard until then, and is paid, stays readable
    purged       nothing

Sound is refused where it does not fit. Text, which is small and done, always counts: what it takes too much is missing
for what comes next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.erasures import erase
from infra.database.session import run
from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.uploads import Media
from infra.keys.account_limits import change_stored, take_result, take_stored
from infra.media import let_go
from pipeline.lifecycle import LIVE

SPEECH = "speech"
FOLDERS_OF_SOUND = ("sound", "spoken")  # in a job's folder; workers write them, workers.job_context names them


def folder_of(job: Job) -> str:
    """Everything of the job in storage except its media, as `erase` takes it."""
    return f"t/{job.account_id}/jobs/{job.id}/"


def peaks_of(job: Job) -> str:
    """How loud it is along its clock; workers write it, workers.job_context names it."""
    return f"{folder_of(job)}peaks"


def count_new(session: Session, job: Job) -> None:
    """A new job, its row in this transaction. Raises LimitExceeded."""
    take_result(session, job.account_id)
    count(session, job, int((job.blobs or {}).get("bytes", 0)), refuse=True)


def count(session: Session, job: Job, size: int, *, refuse: bool) -> None:
    """The job keeps so many bytes more, or (below 0) less. Raises LimitExceeded where it is to `refuse` what has no room."""
    job.stored_bytes += size
    if refuse and size > 0:
        take_stored(session, job.account_id, size)
    else:
        change_stored(session, job.account_id, size)


def keep_sound(session: Session, job: Job, chunk: Chunk, size: int) -> None:
    """So many bytes of sound wait to be heard as this chunk, in place of what has. Raises LimitExceeded."""
    more, chunk.sound_bytes = size - chunk.sound_bytes, size
    if more:
        count(session, job, more, refuse=True)


def drop_sound(session: Session, job: Job, chunk: Chunk) -> None:
    """Nobody will hear it any more: it leaves the quota now, and the store within a minute."""
    size, chunk.sound_bytes = chunk.sound_bytes, 0
    if size:
        count(session, job, -size, refuse=False)


def drop_all_sound(session: Session, job: Job) -> None:
    """The same of all chunks of a job that has ended, whose counter says nothing of them any more where it was cancelled."""
    size = sum(waiting for (waiting,) in run(session, _WAITING, {"of_job": job.id}))
    if size:
        run(session, _NONE_WAITS, {"of_job": job.id})
        count(session, job, -min(size, job.stored_bytes), refuse=False)


def drop_blobs(session: Session, job: Job, now: float) -> None:
    """Nobody will work for the job again: they leave the quota now, and the store within a minute. What is shown of them stays."""
    size = int((job.blobs or {}).get("bytes", 0))
    if job.blobs and size:
        erase(session, job.blobs["key"], now)
        count(session, job, -min(size, job.stored_bytes), refuse=False)
        job.blobs = {**job.blobs, "bytes": 0}


def count_again(session: Session, job: Job) -> None:
    """Nothing of the job counts any more. Once more: nothing happens."""
    change_stored(session, job.account_id, -job.stored_bytes, results=-int(job.kept))
    job.stored_bytes, job.kept = 0, False


def uncount(session: Session, jobs: Iterable[Job | Row[*tuple[Any, ...]]]) -> None:
    """Nothing of these counts any more in the quotas of their accounts; what their rows say is left to whoever asks."""
    size, results = Counter[str](), Counter[str]()
    for job in jobs:
        size[job.account_id] += job.stored_bytes
        results[job.account_id] += job.kept
    for account_id in sorted(size):  # two of us wait for each other never in a circle
        change_stored(session, account_id, -size[account_id], results=-results[account_id])


def lock_media(session: Session, job: Job) -> Media | None:
    """The job's media, ours until the transaction ends: before the account's row, or two could wait for each other."""
    return session.get(Media, job.media_id, with_for_update=True) if job.media_id else None


def leave_cancelled(session: Session, job: Job, now: float) -> None:
    """A cancelled job leaves its account's quota at once. Once more: what a worker has written meanwhile goes, too."""
    media = lock_media(session, job)
    if media is not None and media.state == "stored" and not _needed(session, job):
        let_go(session, media)
    if job.task == SPEECH:
        erase(session, folder_of(job), now)
    else:
        for name in FOLDERS_OF_SOUND:
            erase(session, f"{folder_of(job)}{name}/", now)
        erase(session, peaks_of(job), now)
        if job.blobs:
            erase(session, job.blobs["key"], now)
    count_again(session, job)


def _needed(session: Session, job: Job) -> bool:
    others = (col(Job.media_id) == job.media_id, col(Job.id) != job.id, col(Job.status).in_(LIVE))
    return session.execute(select(col(Job.id)).where(*others).limit(1)).first() is not None


_SOUND = (col(Chunk.job_id) == bindparam("of_job"), col(Chunk.sound_bytes) > 0)
_WAITING = select(col(Chunk.sound_bytes)).where(*_SOUND)
_NONE_WAITS = update(Chunk).where(*_SOUND).values(sound_bytes=0)
