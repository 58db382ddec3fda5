"""How readable a job's captions would be: what of their own rules they break."""

from __future__ import annotations

import json
from functools import partial

from fastapi import Response

from api.dependencies import AppContext
from api.jobs.results import CaptionQuery, revision_headers
from api.jobs.stored_text import revision_of, text_of
from api.rendering import Document
from infra.database.tables.jobs import Job, TranscriptRevision
from pipeline.captions.labels import labelled_cues
from pipeline.captions.violations import violations
from pipeline.formats.base import RenderOptions
from pipeline.quality.suspects import shown
from pipeline.text.edits import without_blanks


async def counted_violations(context: AppContext, job: Job, query: CaptionQuery) -> Response:
    """Counted once for all who ask alike. Raises NotFound, Expired, ResultLost, StorageUnavailable."""
    row = await revision_of(context, job, query.revision)
    source = row.storage_key if row else job.result_key
    key = (job.id, "violations", source, query.model_dump_json(exclude={"format", "revision"}))
    counted = partial(_counted, context, job, row, query)
    document = await context.renderings.document(job.account_id, key, counted)
    return Response(document.body, media_type="application/json", headers=revision_headers(row))


def _counted(context: AppContext, job: Job, row: TranscriptRevision | None, query: CaptionQuery) -> Document:
    layout = RenderOptions(**query.layout())
    cues = labelled_cues(shown(without_blanks(text_of(context, job, row)), query.suspect), layout)
    found = violations(cues, layout)
    told = {
        "object": "audio.transcript.violations",
        "job_id": job.id,
        "revision": row.n if row else 0,
        "captions": len(cues),
        "violations": found.total(),
        "by_rule": dict(found),
    }
    return Document(json.dumps(told).encode(), {})
