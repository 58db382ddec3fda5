"""Links to a job's result: made and revoked with a key, opened without one."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import JOBS, Caller, Context
from api.http.request_body import read_json
from api.http.unknown_names import ignored
from api.jobs.kept_sound import sound_of
from api.jobs.results import CaptionQuery, rendered
from api.jobs.stored_text import finished
from api.openapi.code_samples import origin_of
from api.openapi.document import answers, shown_as, takes
from infra.limits.shares import owner_of
from infra.links.new_link import AUDIO
from infra.requests.job_object import epoch
from infra.requests.job_request import LinkFields
from infra.requests.validation import validated
from pipeline.concurrency.shares import work_for

router = APIRouter(prefix=JOBS + "/{job_id}/links", tags=["job results"])
NO_LINK = answers(s404="No such job, or no such link.")
SIGNATURE = {"name": "signature", "in": "query", "required": True, "schema": {"type": "string"}}
UNSHARED = {"cache-control": "private, no-store", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}


@router.post(
    "",
    status_code=201,
    summary="Make a link to its result",
    responses=NO_LINK | answers(s410="Its results have been deleted."),
    openapi_extra=takes(json=LinkFields),
)
async def create(request: Request, context: Context, caller: Caller, job_id: str) -> Response:
    """For whoever is to read this one result and has no key. `url` is shown in this answer only; it works for that format of
    that job until `expires_at`, until it is revoked, or until the result is deleted."""
    wanted = validated(LinkFields, await read_json(request, empty={}))
    made = partial(context.services.links.create, caller.account_id, job_id, wanted.format, wanted.expires_in)
    link = await context.query(made)
    base = context.services.settings.public_url or origin_of(str(request.base_url))
    shown = {"id": link.id, "object": "audio.job.link", "job_id": job_id, "format": link.format}
    told = {"url": base + link.path, "expires_at": epoch(link.expires_at), **ignored(request)}
    return JSONResponse(shown | told, status_code=201, headers={"cache-control": "no-store"})


@router.get(
    "/{link_id}",
    summary="Open a link",
    responses=shown_as("text/plain", "application/json", "audio/*")
    | NO_LINK
    | answers(s409="The job is not completed.", s410="The link has expired, or the result has been deleted."),
    openapi_extra={"parameters": [SIGNATURE]},
)
async def show(request: Request, context: Context, job_id: str, link_id: str) -> Response:
    """Without a key."""
    signature = request.query_params.get("signature", "")
    opened = await context.query(partial(context.services.links.open, job_id, link_id, signature))
    work_for(owner_of(opened.job.account_id, opened.tier))
    if opened.format == AUDIO:
        answer = await sound_of(request, context, opened.job)
    else:
        answer = await rendered(request, context, finished(opened.job), CaptionQuery(format=opened.format))
    answer.headers.update(UNSHARED)
    return answer


@router.delete("/{link_id}", summary="Revoke a link", responses=NO_LINK)
async def revoke(context: Context, caller: Caller, job_id: str, link_id: str) -> dict[str, Any]:
    """From now on it is 404."""
    await context.query(partial(context.services.links.revoke, caller.account_id, job_id, link_id))
    return {"id": link_id, "object": "audio.job.link", "deleted": True}
