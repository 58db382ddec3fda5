"""How a job comes in: a form with a file, streamed to storage, or JSON with a URL or a text; then one commit, then the message."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Request, Response
from starlette.responses import JSONResponse

from api.access.rate_limits import count_speech_job
from api.compatibility.shutdown_headers import announce_shutdown
from api.dependencies import JOBS, AppContext
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.repeated_headers import RESPOND_ASYNC, wants_async
from api.http.request_body import read_json
from api.http.unknown_names import ignore_all
from api.uploads.form import Form, read_form
from api.uploads.sinks import StorageSink, announced_bytes, beyond, size_first
from infra.database.tables.jobs import Job
from infra.idempotency import Idempotency
from infra.jobs.request_blobs import SplitRequest, split
from infra.jobs.store import NewJob
from infra.keys.accounts import Principal
from infra.requests.audio_options import TranscriptionFields
from infra.requests.job_object import job_object
from infra.requests.job_request import JobFields, SpeechJobFields
from infra.requests.preparing import (
    Asker,
    Fields,
    JobInput,
    fetched,
    from_storage,
    in_bucket,
    job_fields,
    kept,
    new_job,
    terms_of,
    written,
)
from infra.requests.validation import validated
from pipeline.errors import DatabaseUnavailable, InvalidRequest, StenopoolError
from pipeline.options import Task

JSON_LIMIT = 8 * 1024**2  # bytes: the longest text, escaped, and its options
RETRY_AFTER = "1"  # seconds until the first look at a new job is worth it
ONE_INPUT = "Send exactly one of a multipart `file`, a `url`, a `file_id`, an `upload_id` and an `s3_uri`."
ELSEWHERE = ("url", "file_id", "upload_id", "s3_uri")  # where a recording may be that does not come with the request


@dataclass(frozen=True)
class _Asked:
    """Who asks for a job, and how."""

    request: Request
    context: AppContext
    caller: Principal
    key: str | None  # the Idempotency-Key

    @property
    def asker(self) -> Asker:
        """The same for whoever makes jobs ready."""
        caller = self.caller
        return Asker(caller.account_id, caller.tier, caller.key_id or None, self.request.state.request_id)


async def create_job(request: Request, context: AppContext, caller: Principal, *, task: Task | None = None) -> Response:
    """202 with the new job; `task` overrules the request's own. Raises what is wrong with the request."""
    asked = _Asked(request, context, caller, idempotency_key(request))
    limit = context.services.settings.max_upload_bytes
    sink = StorageSink(context, caller, limit=limit, announced=announced_bytes(request))
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        form = Form(await read_json(request, limit=JSON_LIMIT), None)
    else:
        with size_first(request, limit, beyond(limit)):
            form = await read_form(request, sink, before_file=partial(refuse_unheard, context))
    try:
        fields = job_fields(context.services, form.fields, task, missing=_missing_input(form))
        ignore_all(request, fields.ignoring([*fields.ignored, *form.strange_files]).ignored)
        announce_shutdown(request, context.services.catalog.model(fields.model))
        if fields.task == "speech" and task is None:  # else the endpoint has been counted already
            await count_speech_job(context.services, caller)
        answer = await _submit(asked, fields, await _input(asked, fields, form, sink))
    except DatabaseUnavailable:
        raise  # the commit may have happened: the sweep knows whether a job uses the upload
    except BaseException:
        await sink.abort()
        raise
    if "idempotent-replayed" in answer.headers:
        await sink.abort()
    return answer


def _missing_input(form: Form) -> tuple[str, ...]:
    """The recording, where a request without a `text` says nothing of any."""
    given = form.fields if isinstance(form.fields, dict) else {}
    there = form.filename is not None or any(given.get(name) for name in (*ELSEWHERE, "text", "input"))
    return () if there or given.get("task") == "speech" else ("file",)


async def job_over(
    request: Request, context: AppContext, caller: Principal, given: dict[str, Any], sink: StorageSink
) -> Job:
    """A new job over the recording that `sink` has taken, with the fields `given`; workers know of it. Raises as `create_job`."""
    asked = _Asked(request, context, caller, None)
    try:
        fields = job_fields(context.services, given)
        announce_shutdown(request, context.services.catalog.model(fields.model))
        assert isinstance(fields, JobFields)
        heard = await context.transfer(partial(_uploaded, fields, sink))
        new, kept_request, once, _ = await context.query(partial(_put_together, asked, fields, heard))
        job, _ = await _made(context, new, once, kept_request)
    except DatabaseUnavailable:
        raise  # as above
    except BaseException:
        await sink.abort()
        raise
    await wake_workers(context, job)
    return job


def refuse_unheard(context: AppContext, given: dict[str, Any]) -> None:
    """Spares an upload for nothing: `given` are the fields before the file, and may be all that anybody needs to know.

    Raises UnsupportedLanguage, ModelNotFound. What is not among them is checked when the form is whole, and so is the rest.
    """
    if not all(isinstance(given.get(name), str) for name in ("model", "language")):
        return
    named = validated(TranscriptionFields, {"model": given["model"], "language": given["language"]})
    if named.language:
        context.services.catalog.check_language(named.model, named.language)


async def _input(asked: _Asked, fields: Fields, form: Form, sink: StorageSink) -> JobInput:
    if isinstance(fields, SpeechJobFields):
        if form.filename is not None:
            raise InvalidRequest("A speech job takes its `text` as a field, not as a file.", param="file")
        return await _written(fields, sink)
    given = [name for name in ELSEWHERE if getattr(fields, name) is not None]
    if len(given) + (form.filename is not None) != 1:
        raise InvalidRequest(ONE_INPUT, param=given[0] if given else "file")
    if form.filename is not None:
        return await asked.context.transfer(partial(_uploaded, fields, sink))
    if fields.url is not None:
        return fetched(asked.context.services, fields, fields.url)
    if fields.s3_uri is not None:
        in_place = partial(in_bucket, asked.context.services, asked.caller.account_id, fields, fields.s3_uri)
        return await asked.context.transfer(in_place)
    return await asked.context.transfer(partial(kept, asked.context.services, asked.caller.account_id, fields))


async def _written(fields: SpeechJobFields, sink: StorageSink) -> JobInput:
    """The text goes the way of a file."""
    await sink.begin("", declared=True)
    await sink.write(fields.text.encode())
    await sink.finish()
    assert sink.media is not None
    return written(fields.text, sink.media)


def _uploaded(fields: JobFields, sink: StorageSink) -> JobInput:
    media = sink.media
    assert media is not None
    if sink.look and not fields.raw:
        sink.look.finish()
    return from_storage(fields, media, sink.ends)


async def _submit(asked: _Asked, fields: Fields, heard: JobInput) -> Response:
    context = asked.context
    new, request, once, answer = await context.query(partial(_put_together, asked, fields, heard))
    job, replayed = await _made(context, new, once, request)
    headers = {"location": f"{context.services.settings.public_url}{JOBS}/{job.id}", "retry-after": RETRY_AFTER}
    if wants_async(asked.request.headers):
        headers["preference-applied"] = RESPOND_ASYNC
    if replayed is not None:
        return JSONResponse(replayed, status_code=202, headers=headers | REPLAYED)
    await wake_workers(context, job)
    return JSONResponse(answer(job), status_code=202, headers=headers)


def _put_together(
    asked: _Asked, fields: Fields, heard: JobInput
) -> tuple[NewJob, SplitRequest, Idempotency | None, Callable[[Job], dict[str, Any]]]:
    """The job, the large values of its request, its key and its answer: there may be megabytes to go through."""
    terms, known_ms = terms_of(asked.context.services, asked.caller.account_id, fields, heard)
    request = split(fields.request(), asked.caller.account_id)
    new = new_job(asked.context.services, asked.asker, fields, heard, request, terms=terms, known_ms=known_ms)
    made_up = new.webhook_secret if fields.webhook is not None and fields.webhook.secret is None else None
    answer = partial(_answer, secret=made_up, base=asked.context.services.settings.public_url)
    if asked.key is None:
        return new, request, None, answer
    given, facts = _said(fields, heard)
    named = given | ({"file": facts} if heard.source is None and heard.media is not None else {})
    return new, request, idempotency(asked.key, f"POST {JOBS}", [given, facts], answer, named), answer


async def _made(
    context: AppContext, new: NewJob, once: Idempotency | None, request: SplitRequest
) -> tuple[Job, dict[str, Any] | None]:
    """As `JobStore.create`, with the request's large values in storage before the job is there."""
    services = context.services
    create = partial(services.jobs.create, new, once)
    if not request.data:
        return await context.query(create)
    await context.query(partial(services.jobs.expect_blobs, request.key))
    await context.transfer(partial(services.storage.put, request.key, request.data))
    delete = partial(services.storage.delete, request.key)
    try:
        job, replayed = await context.query(create)
    except DatabaseUnavailable:
        raise  # the commit may have happened: whether it has, the erasure that waits knows
    except BaseException:
        with suppress(StenopoolError):
            await context.clean_up(delete)
        raise
    if replayed is not None:
        await context.transfer(delete)
    return job, replayed


def _answer(job: Job, *, secret: str | None, base: str) -> dict[str, Any]:
    """The job, and once the webhook's secret if we made it: nobody could verify our signatures otherwise."""
    body = job_object(job, now=time.time(), base=base)
    if secret is not None:
        body["webhook"]["secret"] = secret
    return body


def _said(fields: Fields, heard: JobInput) -> tuple[dict[str, Any], dict[str, Any]]:
    """What makes two requests the same one: every field they give and the sound's own hash."""
    facts = {name: heard.facts.get(name) for name in ("filename", "bytes", "sha256")}
    return fields.model_dump(mode="json", exclude_unset=True), facts


async def wake_workers(context: AppContext, job: Job) -> None:
    """Tell the workers. A message that cannot be sent is no error: the sweep sends it again."""
    await context.publish(partial(context.services.queue.send_job, job.id, job.queue))
