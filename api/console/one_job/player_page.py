"""The page of one job, and the parts of it that come later: captions as they come into sight, and how far a live one is."""

from __future__ import annotations

import secrets
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse

from api.console.door import POLICY
from api.console.one_job.caption_words import shown_segments
from api.console.pages import PageRoute, form_of, render
from api.console.v1_client import V1, Refused
from api.console.visit import SignedIn
from api.dependencies import JOBS
from pipeline.errors import InvalidRequest
from pipeline.lifecycle import LIVE

SUNSET = "sunset"  # of the sound
router = APIRouter(route_class=PageRoute, include_in_schema=False)
PAGE = "/console/jobs/{job_id}"
FIRST = 40  # segments that come with the page
GONE = (404, 409, 410)
ACTIONS = ("cancel", "retry")


class Wanted(BaseModel):
    """Which segments of which text."""

    first: int = Field(0, ge=0)
    count: int = Field(FIRST, ge=1, le=1000)
    revision: str = Field("latest", max_length=20)


@router.get(PAGE)
async def show(request: Request, visit: SignedIn, job_id: str, revision: str = "latest") -> Response:
    """All that is known of it."""
    v1 = V1(request, visit)
    job = await v1.get(f"{JOBS}/{job_id}")
    nonce = secrets.token_urlsafe(16)
    facts = {
        "job": job,
        "live": job["status"] in LIVE,
        "name": job["input"]["filename"] or job["id"],
        "revision": revision,
        "text": await _text(v1, job, revision),
        "sound": await _sound(v1, job_id),
        "events": (await v1.get(f"{JOBS}/{job_id}/events", limit=200))["data"],
        "deliveries": (await v1.get(f"{JOBS}/{job_id}/deliveries"))["data"],
        "receipts": await v1.get_or_none("/v1/receipts", job_id=job_id),
        "nonce": nonce,
    }
    page = render(request, visit, "job/page.html", **facts)
    # The waveform brings its style along, in an element of its own.
    page.headers["content-security-policy"] = POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")
    return page


async def _text(v1: V1, job: dict[str, Any], revision: str) -> dict[str, Any] | None:
    """The first segments, as corrected; of a job that did not come to its end what there is. None where there is nothing to read:
    what a live job has heard is paid by whoever reads it, which opening a page must not do."""
    if job["status"] in LIVE:
        return None
    asked = {"limit": FIRST, **({"revision": revision} if job["status"] == "completed" else {})}
    try:
        found = await v1.get(f"{JOBS}/{job['id']}/segments", **asked)
    except Refused as refused:
        if refused.status not in (*GONE, 402):
            raise
        return None
    return {**found, "segments": shown_segments(found["data"])}


async def _sound(v1: V1, job_id: str) -> dict[str, Any]:
    """Whether there is any, and until when; else why not."""
    try:
        answer = await v1.answer("GET", f"{JOBS}/{job_id}/audio?playable=true", headers={"range": "bytes=0-0"})
    except Refused as refused:
        if refused.status not in (*GONE, 416):
            raise
        return {"there": False, "why": refused.message, "until": None}
    ends = answer.headers.get(SUNSET)
    return {"there": True, "why": "", "until": parsedate_to_datetime(ends).timestamp() if ends else None}


@router.get(PAGE + "/state")
async def state(request: Request, visit: SignedIn, job_id: str) -> Response:
    """How far it is. Once it has ended the whole page is to be loaded again."""
    job = await V1(request, visit).get(f"{JOBS}/{job_id}")
    live = job["status"] in LIVE
    part = render(request, visit, "job/state.html", fragment=True, job=job, live=live)
    if not live:
        part.headers["hx-refresh"] = "true"
    return part


@router.get(PAGE + "/captions")
async def captions(request: Request, visit: SignedIn, job_id: str, wanted: Annotated[Wanted, Query()]) -> Response:
    """Some segments of a finished job."""
    asked = {"after": wanted.first - 1, "limit": wanted.count, "revision": wanted.revision}
    found = await V1(request, visit).get(f"{JOBS}/{job_id}/segments", **asked)
    segments = shown_segments(found["data"])
    return render(request, visit, "job/captions.html", fragment=True, segments=segments)


@router.post(PAGE + "/deliveries/{delivery_id}/replay")
async def replay(request: Request, visit: SignedIn, job_id: str, delivery_id: str) -> Response:
    """Sends a webhook's message once more."""
    await form_of(request, visit)
    await V1(request, visit).post(f"{JOBS}/{job_id}/deliveries/{delivery_id}/replay")
    return RedirectResponse(f"/console/jobs/{job_id}#deliveries", 303)


@router.post(PAGE + "/do/{action}")
async def act(request: Request, visit: SignedIn, job_id: str, action: str) -> Response:
    """Cancel it, or try again what failed."""
    await form_of(request, visit)
    if action not in ACTIONS:
        raise InvalidRequest(f"A job can be asked to {' or to '.join(ACTIONS)} here.")
    await V1(request, visit).post(f"{JOBS}/{job_id}/{action}")
    return RedirectResponse(f"/console/jobs/{job_id}", 303)
