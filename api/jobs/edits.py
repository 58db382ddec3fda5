"""A correction of a job's transcript: a revision more, where nobody else has made one meanwhile."""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers

from api.dependencies import AppContext
from api.jobs.results import numbered
from api.jobs.stored_text import edits_of, original, text_of
from api.schemas.edits import TranscriptEdit
from infra.database.ids import new_id
from infra.database.tables.jobs import Job, TranscriptRevision
from infra.jobs.stored_bytes import folder_of
from infra.revisions.store import NewRevision
from pipeline.errors import EditConflict
from pipeline.text.edits import changed, edits_to_json

_TAG = re.compile(r'(?:W/)?"?(\d{1,9})"?')
UNSEEN = (
    "Say which revision you have seen: `If-Match` with the ETag of `GET …/transcript?revision=latest`. Nothing was changed. "
    "`current` is what is there now, `yours` what you have sent."
)
OVERTAKEN = (
    "The transcript has been corrected since you read it. Nothing was changed. `current` is what is there now, `yours` what you "
    "have sent; send it again with `If-Match` of `current_revision` where it is still wanted."
)


def correct(
    context: AppContext, job: Job, headers: Headers, asked: TranscriptEdit, key_id: str | None
) -> TranscriptRevision:
    """Raises EditConflict with both, InvalidRequest, NotFound, Expired, ResultLost, StorageUnavailable."""
    revisions, seen = context.services.revisions, _seen(headers)
    latest = revisions.latest(job.id)
    if seen != (latest.n if latest else 0):
        raise _conflict(context, job, asked, UNSEEN if seen is None else OVERTAKEN)
    base = latest if asked.restore is None else revisions.get(job.id, asked.restore) if asked.restore else None
    edits = edits_of(context, job, base)
    if asked.restore is None:
        edits = changed(original(context, job, base), edits, asked.wanted(), asked.speakers)
    data, key = edits_to_json(edits), f"{folder_of(job)}revisions/{new_id('rev')}.json"
    context.services.storage.put(key, data)
    assert job.result_key is not None
    new = NewRevision(
        based_on=seen,
        result_key=base.result_key if base else job.result_key,
        storage_key=key,
        size=len(data),
        changes=len(asked.changes) + len(asked.speakers),
        key_id=key_id,
    )
    try:
        return revisions.add(job.account_id, job.id, new)
    except EditConflict as error:
        context.services.storage.delete(key)
        raise _conflict(context, job, asked, OVERTAKEN) from error


def _seen(headers: Headers) -> int | None:
    tag = _TAG.fullmatch(headers.get("if-match", "").strip())
    return int(tag[1]) if tag else None


def _conflict(context: AppContext, job: Job, asked: TranscriptEdit, message: str) -> EditConflict:
    latest = context.services.revisions.latest(job.id)
    segments = text_of(context, job, latest).segments
    numbers = sorted({one.segment for one in asked.changes if one.segment < len(segments)})
    current: list[dict[str, Any]] = [numbered([segments[number]], first=number)[0] for number in numbers]
    return EditConflict(
        message,
        current_revision=latest.n if latest else 0,
        current=current,
        yours=asked.model_dump(mode="json", exclude_defaults=True),
    )
