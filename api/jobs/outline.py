"""A transcript in outline: where each segment begins and how long it is, so that readers of hours fetch what is in sight."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from api.dependencies import AppContext
from api.jobs.results import revision_headers
from api.jobs.stored_text import REVISION, finished, revision_of, text_of
from api.rendering import Document
from infra.database.tables.jobs import Job, TranscriptRevision
from pipeline.transcript import Segment


class OutlineQuery(BaseModel):
    """Of which text."""

    revision: str | None = Field(None, pattern=REVISION, description="As corrected; unset or 0: the original.")


async def outlined(context: AppContext, job: Job, query: OutlineQuery) -> Response:
    """Written once for all who ask alike. Raises WrongState, NotFound, Expired, ResultLost, StorageUnavailable."""
    row = await revision_of(context, finished(job), query.revision)
    key = (job.id, "outline", row.storage_key if row else job.result_key)
    document = await context.renderings.document(job.account_id, key, partial(_written, context, job, row))
    return Response(document.body, media_type="application/json", headers=revision_headers(row))


def _written(context: AppContext, job: Job, row: TranscriptRevision | None) -> Document:
    segments = text_of(context, job, row).segments
    told: dict[str, Any] = {
        "object": "audio.transcript.outline",
        "job_id": job.id,
        "revision": row.n if row else 0,
        "starts": [segment.start / 1000 for segment in segments],
        "words": [_words(segment) for segment in segments],
        "suspect": [number for number, segment in enumerate(segments) if segment.suspect],
        "speakers": _speakers(segments),
    }
    return Document(json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode(), {})


def _words(segment: Segment) -> int:
    return len(segment.words) or len(segment.text.split())


def _speakers(segments: Sequence[Segment]) -> list[str]:
    """Each once, in the order in which they begin to speak."""
    return list(dict.fromkeys(segment.speaker for segment in segments if segment.speaker))
