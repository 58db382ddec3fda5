"""What sound there is of a job: that of a text, for as long as results are kept; a recording, for as long as that is."""

from __future__ import annotations

import mimetypes
from email.utils import formatdate
from functools import partial
from pathlib import PurePath

from fastapi import Request, Response

from api.dependencies import AppContext
from api.http.perf_metadata import job_headers
from api.jobs.stored_text import finished, why_gone
from api.stored_object import StoredObject, disposition, download
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.media import USABLE, copy_key
from pipeline.audio.encode import MEDIA_TYPES
from pipeline.audio.playback.browser_copy import MEDIA_TYPE as COPY_TYPE
from pipeline.errors import Expired, InputMissing, NotFound, WrongState
from pipeline.lifecycle import TERMINAL, JobStatus

GONE = "The recording has been deleted."
BYTES = "application/octet-stream"


async def sound_of(request: Request, context: AppContext, job: Job, *, playable: bool = False) -> Response:
    """`playable`: the copy for browsers, where there is one.

    Raises WrongState, Expired, ResultLost, RangeNotSatisfiable, StorageUnavailable.
    """
    stored, name = _spoken(job) if job.task == "speech" else await _recorded(context, job, playable=playable)
    headers = {"content-disposition": name, **_until(context, job), **job_headers(request, job)}
    try:
        return await download(request, context, stored, headers)
    except InputMissing as error:
        if job.task != "speech":
            raise Expired(GONE) from error
        raise await context.query(partial(why_gone, context, job)) from error


def _until(context: AppContext, job: Job) -> dict[str, str]:
    """RFC 8594: when there will be no sound of it any more, as far as that is known: not before the job has ended, nor where the
    account keeps the recording as a file."""
    ends = [job.expires_at]
    if job.task != "speech" and "file_id" not in job.input and job.ended_at is not None:
        ends.append(job.ended_at + context.services.settings.media_retention_seconds)
    known = [moment for moment in ends if moment is not None]
    return {"sunset": formatdate(min(known), usegmt=True)} if known and job.ended_at is not None else {}


def _spoken(job: Job) -> tuple[StoredObject, str]:
    sound = finished(job).sound
    assert sound is not None
    key, name = str(sound["key"]), str(sound["format"])
    stored = StoredObject(key, int(sound["bytes"]), key.rsplit("/", maxsplit=1)[-1], MEDIA_TYPES[name])
    return stored, disposition("inline", f"{job.id}.{name}")


async def _recorded(context: AppContext, job: Job, *, playable: bool) -> tuple[StoredObject, str]:
    """As it was sent or fetched, or its copy. Its name alone says what it is, so that no browser runs it in our name."""
    if job.media_id is None and job.status not in TERMINAL:
        raise WrongState(
            "The recording has not been fetched yet.",
            current_status=job.status,
            allowed_statuses=sorted(set(JobStatus) - {JobStatus.AWAITING_UPLOAD, JobStatus.QUEUED}),
        )
    media = await context.query(partial(_media, context, job))
    filename = media.filename or job.id
    if playable and media.copied:
        copy = StoredObject(copy_key(media), media.copied, f"{media.id}-copy", COPY_TYPE)
        return copy, disposition("inline", f"{PurePath(filename).stem}.ogg")
    kind = mimetypes.types_map.get(PurePath(filename).suffix.lower(), "")
    heard = kind if kind.startswith(("audio/", "video/")) else BYTES
    return StoredObject(media.storage_key, media.bytes, media.sha256 or media.id, heard), disposition(
        "attachment", filename
    )


def _media(context: AppContext, job: Job) -> Media:
    try:
        media = context.services.media.get(job.account_id, job.media_id or "")
    except NotFound:
        raise Expired(GONE) from None
    if media.state not in USABLE:
        raise Expired(GONE)
    return media
