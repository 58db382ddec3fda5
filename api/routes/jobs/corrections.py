"""Corrections of a job's transcript: revisions beside the original."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import JOBS, Caller, Context
from api.http.request_body import read_json
from api.jobs.edits import correct
from api.jobs.outline import OutlineQuery, outlined
from api.jobs.results import CaptionQuery, revision_headers
from api.jobs.stored_text import finished
from api.jobs.violations import counted_violations
from api.openapi.document import answers, takes
from api.schemas.edits import TranscriptEdit, revision_object
from api.schemas.pagination import page
from infra.requests.validation import validated

router = APIRouter(prefix=JOBS + "/{job_id}", tags=["job results"])
NO_JOB = answers(s404="No such job.")


@router.patch(
    "/transcript",
    summary="Correct the transcript",
    status_code=201,
    responses=NO_JOB
    | answers(
        s409="Corrected since by somebody else: `current` and `yours`. Or the job is not completed.",
        s410="Its results have been deleted.",
    ),
    openapi_extra=takes(json=TranscriptEdit),
)
async def correct_transcript(request: Request, context: Context, caller: Caller, job_id: str) -> Response:
    """A revision more: other texts of segments or of single words, who says them, names of speakers; or all as it was in an
    earlier revision. `If-Match` has the ETag of `GET …/transcript?revision=latest`: nobody's correction is overwritten unseen.
    The original stays as it was heard; all of it goes with the job's results."""
    job = await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    asked = validated(TranscriptEdit, await read_json(request))
    made = partial(correct, context, finished(job), request.headers, asked, caller.key_id)
    row = await context.renderings.in_turn(caller.account_id, made)
    return JSONResponse(revision_object(row), status_code=201, headers=revision_headers(row))


@router.get(
    "/transcript/outline",
    summary="The transcript in outline",
    responses=NO_JOB | answers(s409="The job is not completed.", s410="Its results have been deleted."),
)
async def outline(context: Context, caller: Caller, job_id: str, query: Annotated[OutlineQuery, Query()]) -> Response:
    """When each segment begins (`starts`, in seconds) and how many words it has, which are suspect, and who speaks: so that a
    reader fetches from `/segments` what is in sight, and nothing else."""
    job = await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    return await outlined(context, job, query)


@router.get(
    "/transcript/violations",
    summary="Where its captions break the rules",
    responses=NO_JOB | answers(s409="The job is not completed.", s410="Its results have been deleted."),
)
async def violations(
    context: Context, caller: Caller, job_id: str, query: Annotated[CaptionQuery, Query()]
) -> Response:
    """How often captions laid out with these options break them all the same, by rule: words that come too fast, or are longer
    than a line, leave no other way."""
    job = await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    return await counted_violations(context, finished(job), query)


@router.get("/transcript/revisions", summary="The transcript's revisions", responses=NO_JOB)
async def revisions(
    context: Context,
    caller: Caller,
    job_id: str,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="The last revision already known.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> dict[str, Any]:
    """From the first on; the original is none."""
    await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    rows = await context.query(partial(context.services.revisions.all, job_id, after=after, limit=limit + 1))
    return page([revision_object(row) for row in rows[:limit]], has_more=len(rows) > limit)
