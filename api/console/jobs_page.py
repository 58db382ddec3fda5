"""Jobs: live, filtered, searched, and steered many at a time."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse

from api.console.pages import PageRoute, form_fields, render
from api.console.v1_client import V1, Refused
from api.console.visit import SignedIn
from api.dependencies import JOBS
from pipeline.errors import InvalidRequest
from pipeline.lifecycle import TERMINAL, JobStatus

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PAGE = "/console/jobs"
AT_ONCE = 50  # jobs on a page
MOST_TOLD = 5  # refusals in one message
FORMATS = {"txt": "text", "srt": "srt", "vtt": "vtt", "json": "verbose_json"}
UNSAFE = re.compile(r"[^\w.() -]+")
DONE = {"cancel": "cancelled", "retry": "started again", "delete": "deleted"}


class Shown(BaseModel):
    """Which jobs the page shows; what is empty does not narrow it."""

    status: str = Field("", max_length=30)
    model: str = Field("", max_length=200)
    search: str = Field("", max_length=200)
    after: str = Field("", max_length=200)

    def query(self) -> dict[str, Any]:
        """For the API."""
        return {**self.model_dump(), "limit": AT_ONCE}

    def link(self, **changes: str) -> str:
        """The address of the page with these changes."""
        given = {name: value for name, value in (self.model_dump() | changes).items() if value}
        return PAGE + (f"?{urlencode(given)}" if given else "")

    def rows(self) -> str:
        """Of its rows alone."""
        return self.link().replace(PAGE, f"{PAGE}/rows", 1)


@router.get(PAGE)
async def show(
    request: Request, visit: SignedIn, shown: Annotated[Shown, Query()], said: str = "", failed: str = ""
) -> Response:
    """The page, with the rows as they are now."""
    v1 = V1(request, visit)
    models = [model["id"] for model in (await v1.get("/v1/models"))["data"]]
    rows = await _rows(v1, shown)
    facts: dict[str, Any] = {
        "models": models,
        "statuses": [status.value for status in JobStatus],
        "said": said,
        "failed": failed,
        "readiness": await v1.readiness(),
    }
    return render(request, visit, "jobs.html", **rows, **facts)


@router.get(PAGE + "/rows")
async def rows(request: Request, visit: SignedIn, shown: Annotated[Shown, Query()]) -> Response:
    """The rows alone: the page asks for them again and again."""
    return render(request, visit, "jobs_rows.html", fragment=True, **await _rows(V1(request, visit), shown))


async def _rows(v1: V1, shown: Shown) -> dict[str, Any]:
    found = await v1.get(JOBS, **shown.query())
    ended = {status.value for status in TERMINAL}
    return {"jobs": found["data"], "more": found["has_more"] and found["last_id"], "shown": shown, "ended": ended}


@router.post(PAGE + "/act")
async def act(request: Request, visit: SignedIn) -> Response:
    """Cancel, retry or delete what was selected; says how many, and why not the others."""
    fields = await form_fields(request, visit)
    chosen, ids = dict(fields).get("act", ""), [value for name, value in fields if name == "id"]
    if chosen == "download":
        return await _zip(V1(request, visit), ids, dict(fields).get("format", "txt"))
    steer = _steering(V1(request, visit)).get(chosen)
    if steer is None:
        raise InvalidRequest("Choose what to do: cancel, retry, delete or download.")
    done, refusals = await _each(steer, ids)
    return RedirectResponse(f"{PAGE}?{urlencode(_outcome(chosen, done, refusals))}", 303)


async def _each(steer: Callable[[str], Awaitable[Any]], ids: list[str]) -> tuple[int, list[str]]:
    """How many it was done to, and why not to the others."""
    refusals = list[str]()
    for job_id in ids:
        try:
            await steer(job_id)
        except Refused as refused:
            refusals.append(f"{job_id}: {refused.message}")
    return len(ids) - len(refusals), refusals


def _outcome(chosen: str, done: int, refusals: list[str]) -> dict[str, str]:
    """In words, as the list shows them above itself."""
    if not done and not refusals:
        return {"said": "Nothing selected."}
    told = {"said": f"{done} {'job' if done == 1 else 'jobs'} {DONE[chosen]}."}
    if not refusals:
        return told
    more = f" And {len(refusals) - MOST_TOLD} more." if len(refusals) > MOST_TOLD else ""
    return told | {"failed": " ".join(refusals[:MOST_TOLD]) + more}


def _steering(v1: V1) -> dict[str, Callable[[str], Awaitable[Any]]]:
    return {
        "cancel": lambda job_id: v1.post(f"{JOBS}/{job_id}/cancel"),
        "retry": lambda job_id: v1.post(f"{JOBS}/{job_id}/retry"),
        "delete": lambda job_id: v1.delete(f"{JOBS}/{job_id}", force="true"),
    }


async def _zip(v1: V1, ids: list[str], suffix: str) -> Response:
    """The transcripts of these jobs; what could not be had is told in a file of its own."""
    if not ids or suffix not in FORMATS:
        raise InvalidRequest(f"Select jobs, and one of the formats {', '.join(FORMATS)}.")
    held, refusals = io.BytesIO(), list[str]()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for job_id in ids[:AT_ONCE]:
            try:
                job = await v1.get(f"{JOBS}/{job_id}")
                text = await v1.text(f"{JOBS}/{job_id}/transcript", format=FORMATS[suffix])
                archive.writestr(_name(job, suffix), text)
            except Refused as refused:
                refusals.append(f"{job_id}: {refused.message}\n")
        if refusals:
            archive.writestr("not-here.txt", "".join(refusals))
    headers = {"content-disposition": f'attachment; filename="transcripts-{suffix}.zip"'}
    return Response(held.getvalue(), media_type="application/zip", headers=headers)


def _name(job: dict[str, Any], suffix: str) -> str:
    """Of the recording and the job, so that no two are the same and none leads anywhere."""
    stem = (job["input"].get("filename") or "recording").rsplit(".", 1)[0]
    return f"{UNSAFE.sub('_', stem)[:80].strip('. ') or 'recording'}-{job['id']}.{suffix}"
