"""Jobs: make one, look at it, list them, steer them."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import JOBS, AppContext, Caller, Context
from api.http.client_disconnect import unless_gone
from api.jobs.results import short_transcripts
from api.jobs.submission import create_job, wake_workers
from api.openapi.document import answers, takes
from api.schemas.pagination import JobQuery, page
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookMessage
from infra.jobs.create_and_read import JobMark, told_mark
from infra.jobs.store import QueuePlace
from infra.requests.job_object import job_object, terminal
from infra.requests.job_request import JobFields, SpeechJobFields
from infra.requests.progress.message import SOON
from infra.webhooks.outbox import JOB_TARGET
from infra.webhooks.store import Which
from pipeline.errors import NotFound, StenopoolError
from pipeline.lifecycle import TERMINAL

log = logging.getLogger("stenopool.api")
router = APIRouter(prefix=JOBS, tags=["jobs"])

LONGEST_WAIT = 55  # seconds; below the usual proxies' 60
Looked = tuple[Job, WebhookMessage | None]
NO_JOB = answers(s404="No such job.")
NO_MONEY = answers(s402="The balance does not cover it.")


@router.post(
    "",
    status_code=202,
    summary="Make a job",
    responses=NO_MONEY
    | answers(s400="A field or the file is wrong.", s404="No such model.", s409="Idempotency-Key used before."),
    openapi_extra=takes(json=(JobFields, SpeechJobFields), form=JobFields),
)
async def create(request: Request, context: Context, caller: Caller) -> Response:
    """A recording of any length: a multipart `file`, a `url`, a `file_id` or an `upload_id`; or, with `"task": "speech"`, a `text`
    to be spoken. `Idempotency-Key` makes repeating it harmless."""
    return await create_job(request, context, caller)


@router.get("", summary="List jobs")
async def list_jobs(context: Context, caller: Caller, query: Annotated[JobQuery, Query()]) -> dict[str, Any]:
    """By time of creation, the newest first unless `order=asc`. With `ids`, how many jobs stand is one question instead of one
    for each."""
    jobs, told = await context.query(partial(_listed, context, caller.account_id, query))
    if query.include is not None:
        texts = await short_transcripts(context, caller.account_id, jobs)
        told["data"] = [one | {"transcript": texts.get(one["id"])} for one in told["data"]]
    return told


def _listed(context: AppContext, account_id: str, query: JobQuery) -> tuple[list[Job], dict[str, Any]]:
    named, beside = query.named(), {"ids", "client_reference_ids", "include"}
    asked = query.model_dump(mode="json", exclude=beside) | {"references": query.called()}
    if named is not None:
        asked |= {"ids": named, "limit": len(named)}
    jobs, has_more = context.services.jobs.list(account_id, **asked)
    now, places = time.time(), context.services.jobs.places(account_id, jobs)
    base = context.services.settings.public_url
    shown = [
        job_object(job, now=now, message=_message(context, job), place=places.get(job.id), base=base) for job in jobs
    ]
    return jobs, page(shown, has_more=has_more)


@router.get("/{job_id}", summary="Show a job", responses=NO_JOB)
async def show(
    request: Request,
    context: Context,
    caller: Caller,
    job_id: str,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for its end.")] = 0,
) -> Response:
    """Cheap to poll. With `wait` the answer comes when the job has ended, with `If-None-Match` as soon as it has
    changed; in any case after that time. `304` when it is still what the caller knows."""
    known = request.headers.get("if-none-match", "")
    job, message = await _look(context, caller.account_id, job_id)
    if wait and not _has_news(job, message, known):
        request.state.slot.give_back()
        waiting = _awaited(context, job, message, known, time.monotonic() + wait)
        job, message = await unless_gone(request.receive, waiting)
    place, base = await context.query(partial(_place, context, job)), context.services.settings.public_url
    return _shown(job, message, known, place, base)


async def _awaited(context: AppContext, job: Job, message: WebhookMessage | None, known: str, until: float) -> Looked:
    """Holds no slot: wakes when there is news, looks again then, and at the end in any case."""
    read = partial(context.look, partial(_read, context, job.account_id, job.id))
    while not _has_news(job, message, known) and (left := until - time.monotonic()) > 0 and not context.shutting_down:
        woken = await context.watcher.until(job.id, partial(_would_be_news, known), left)
        job, message = await (context.watcher.shared(job.id, read) if woken else read())
    return job, message


def _would_be_news(known: str, mark: JobMark | None) -> bool:
    if mark is None:
        return True
    return not _matches(known, _tag(mark.version, mark.told)) if known else mark.status in TERMINAL


def _has_news(job: Job, message: WebhookMessage | None, known: str) -> bool:
    if known:
        return not _matches(known, _etag(job, message))
    return terminal(job)


async def _look(context: AppContext, account_id: str, job_id: str) -> Looked:
    return await context.query(partial(_read, context, account_id, job_id))


def _read(context: AppContext, account_id: str, job_id: str) -> Looked:
    """The job, and what became of its own webhook."""
    job = context.services.jobs.get(account_id, job_id)
    return job, _message(context, job)


def _message(context: AppContext, job: Job) -> WebhookMessage | None:
    if job.webhook_url is None or not terminal(job):
        return None
    found, _ = context.services.webhooks.messages(job.account_id, Which(job_id=job.id))
    return next((message for message, _ in found if message.target == JOB_TARGET), None)


def _etag(job: Job, message: WebhookMessage | None) -> str:
    """Weak: `eta_seconds` moves with the clock, and nobody need fetch the job again for that."""
    return _tag(job.version, told_mark(message) if message else None)


def _tag(version: int, told: str | None) -> str:
    return f'W/"{version}{f".{told}" if told else ""}"'


def _matches(given: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _place(context: AppContext, job: Job) -> QueuePlace | None:
    return context.services.jobs.places(job.account_id, [job]).get(job.id)


def _shown(job: Job, message: WebhookMessage | None, known: str, place: QueuePlace | None, base: str) -> Response:
    headers = {"etag": _etag(job, message), "cache-control": "private, no-cache"}
    body = job_object(job, now=time.time(), message=message, place=place, base=base)
    if (retry_after := body["progress"]["retry_after"]) is not None:
        headers["retry-after"] = str(retry_after)
    if known and _matches(known, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return JSONResponse(body, headers=headers)


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=NO_JOB | answers(s409="It has ended."))
async def cancel(context: Context, caller: Caller, job_id: str) -> dict[str, Any]:
    """Work that has not begun never begins; work that has begun stops at its next step."""
    await context.query(partial(context.services.jobs.cancel, caller.account_id, job_id))
    job, message = await _look(context, caller.account_id, job_id)
    place = await context.query(partial(_place, context, job))
    return job_object(job, now=time.time(), message=message, place=place, base=context.services.settings.public_url)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Retry a job",
    responses=NO_JOB | NO_MONEY | answers(s409="Wrong state."),
)
async def retry(context: Context, caller: Caller, job_id: str) -> Response:
    """For a failed job, or one that ended with gaps: only what failed is done again."""
    job = await context.query(partial(context.services.jobs.retry, caller.account_id, job_id))
    await wake_workers(context, job)
    base = context.services.settings.public_url
    headers = {"location": f"{base}{JOBS}/{job.id}", "retry-after": str(SOON)}
    return JSONResponse(job_object(job, now=time.time(), base=base), status_code=202, headers=headers)


@router.post(
    "/{job_id}/pay",
    summary="Pay for what a failed job has heard",
    responses=NO_JOB | NO_MONEY | answers(s409="It has not failed.", s410="Its results have been deleted."),
)
async def pay(context: Context, caller: Caller, job_id: str) -> dict[str, Any]:
    """Failed work is free as long as nobody reads it. This pays for the text that `/segments` answers with 402, which can be
    read then; a retry does not charge for it again. Once more: nothing happens."""
    job = await context.query(partial(context.services.jobs.pay, caller.account_id, job_id))
    return job_object(job, now=time.time(), base=context.services.settings.public_url)


@router.delete("/{job_id}", summary="Delete a job", responses=NO_JOB | answers(s409="It is live; see `force`."))
async def delete(
    context: Context,
    caller: Caller,
    job_id: str,
    force: Annotated[bool, Query(description="Also while it is live.")] = False,
) -> dict[str, Any]:
    """The job, its recording and its results are gone, from storage too."""
    job = await context.query(partial(context.services.jobs.delete, caller.account_id, job_id, force))
    await context.transfer(partial(_erase, context, job))
    return {"id": job.id, "object": "audio.job", "deleted": True}


def _erase(context: AppContext, job: Job) -> None:
    """Now what can be; the sweep erases the rest, and what a worker may still write."""
    services = context.services
    try:
        services.storage.delete_prefix(f"t/{job.account_id}/jobs/{job.id}")
        if job.media_id is not None and not _has_media(context, job):
            services.storage.delete(f"t/{job.account_id}/media/{job.media_id}")
    except StenopoolError as error:
        log.warning("the sweep must erase a deleted job's objects: %s", error.code)


def _has_media(context: AppContext, job: Job) -> bool:
    """Whether another job still needs the recording."""
    assert job.media_id is not None
    try:
        context.services.media.get(job.account_id, job.media_id)
    except NotFound:
        return False
    return True
