"""How loud a job's sound is along its clock, as far as its results are kept: for players to draw without decoding it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from api.dependencies import AppContext
from api.jobs.stored_text import WHAT_GOES, why_gone
from api.rendering import Document
from infra.database.tables.jobs import Job
from infra.jobs.stored_bytes import peaks_of
from pipeline.audio.playback.peaks import MOST_POINTS, peaks_from_bytes
from pipeline.errors import Expired, InputMissing, NotFound, WrongState
from pipeline.lifecycle import TERMINAL, JobStatus
from pipeline.transcript import SAMPLE_RATE

NONE = "Nothing of this job's sound has been decoded, or not by this version: there are no peaks of it."


class PeakQuery(BaseModel):
    """How finely."""

    points: int = Field(4000, ge=1, le=MOST_POINTS, description="At most so many, over the whole length.")


async def drawn(context: AppContext, job: Job, query: PeakQuery) -> Response:
    """Written once for all who ask alike. Raises WrongState, Expired, NotFound, ResultLost, StorageUnavailable."""
    _want_decoded(job)
    key = (job.id, "peaks", job.attempt, query.points)
    document = await context.renderings.document(job.account_id, key, partial(_written, context, job, query.points))
    return Response(document.body, media_type="application/json")


def _want_decoded(job: Job) -> None:
    if job.purged_at is not None:
        raise Expired(WHAT_GOES)
    if "peaks" in job.input or "peaks" in (job.sound or {}):
        return
    if job.status in TERMINAL:
        raise NotFound(NONE)
    raise WrongState(
        "The sound has not been decoded to its end yet.",
        current_status=job.status,
        allowed_statuses=[str(JobStatus.COMPLETED)],
    )


def _written(context: AppContext, job: Job, points: int) -> Document:
    try:
        stored = context.services.storage.get(peaks_of(job))
    except InputMissing as error:
        raise why_gone(context, job) from error
    told = {
        "object": "audio.peaks",
        "job_id": job.id,
        **peaks_from_bytes(stored, points).as_dict(),
        "seams": [] if job.task == "speech" else _seams(context, job),
    }
    return Document(json.dumps(told, separators=(",", ":")).encode(), {})


def _seams(context: AppContext, job: Job) -> list[dict[str, Any]]:
    """Where one chunk's sound ends and the next one's begins, in seconds, and what was there to cut in."""
    spans = [row.span for row in context.services.jobs.chunks(job.id)]
    inner = {int(span["own_start"]): str(span["left_edge"]) for span in spans if span["left_edge"] != "start"}
    return [{"at": round(place / SAMPLE_RATE, 3), "cut": edge} for place, edge in sorted(inner.items())]
