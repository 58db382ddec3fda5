"""How a job comes in: a form with a file, streamed to storage, or JSON with a URL or a text; then one commit, then the message."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fastapi import Request, Response
from starlette.responses import JSONResponse

from api.access.rate_limits import count_speech_job
from api.dependencies import JOBS, AppContext
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.repeated_headers import RESPOND_ASYNC, wants_async
from api.http.request_body import read_json, validated
from api.jobs.kept_recording import kept_file, look_into
from api.jobs.quote import heard_ms, job_terms, known_ms_of
from api.schemas.audio_options import TranscriptionFields
from api.schemas.job_object import job_object
from api.schemas.job_request import JobFields, SpeechJobFields
from api.uploads.form import Form, read_form
from api.uploads.sinks import StorageSink, announced_bytes, beyond, size_first
from infra.database.tables import Job, Media
from infra.idempotency import Idempotency
from infra.jobs.request_blobs import SplitRequest, split
from infra.jobs.store import NewJob
from infra.keys.accounts import Principal
from infra.keys.tiers import checked_priority
from infra.money.job_money import Terms
from infra.outbound.url_policy import shown_url
from infra.webhooks.signing_secrets import new_secret
from infra.wiring import Services
from pipeline.audio.duration.estimate import UNKNOWN_MS, Ends, Estimate
from pipeline.audio.raw_sound import RawSound
from pipeline.errors import DatabaseUnavailable, InvalidRequest, OutboundRefused, StenopoolError
from pipeline.options import Task

Fields = JobFields | SpeechJobFields
JSON_LIMIT = 8 * 1024**2  # bytes: the longest text, escaped, and its options
RETRY_AFTER = "1"  # seconds until the first look at a new job is worth it
ONE_INPUT = "Send exactly one of a multipart `file`, a `url`, a `file_id` and an `upload_id`."
ELSEWHERE = ("url", "file_id", "upload_id")  # where a recording may be that does not come with the request
NO_TEXT = 'This job hears a recording and takes no `text`. To have a `text` spoken, set `task` to "speech".'


@dataclass(frozen=True)
class _Input:
    """What there is to hear: a recording that is in storage, or a URL to fetch."""

    facts: dict[str, Any]
    media: Media | None = None
    source: dict[str, Any] | None = None
    ends: Ends | None = None


@dataclass(frozen=True)
class _Asked:
    """Who asks for a job, and how."""

    request: Request
    context: AppContext
    caller: Principal
    key: str | None  # the Idempotency-Key


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
        fields = _job_fields(context, form.fields, task)
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


def _job_fields(context: AppContext, given: Any, task: str | None) -> Fields:
    """Everything that can be refused without looking at the sound is refused here."""
    told = {**given, "task": task} if task and isinstance(given, dict) else given
    speech = isinstance(told, dict) and told.get("task") == "speech"
    if not speech and isinstance(told, dict) and told.get("text"):
        raise InvalidRequest(NO_TEXT, param="text")
    fields: Fields = validated(SpeechJobFields, told) if speech else validated(JobFields, told)
    services = context.services
    if isinstance(fields, SpeechJobFields) or fields.task == "speech":
        services.catalog.routes(fields.model, fields.task)
        services.catalog.check_format(fields.model, fields.task, fields.response_format or "mp3")
    else:
        options = fields.options(fields.task)
        services.catalog.routes_for(options)
        services.catalog.check_format_of(options)
    if fields.webhook is not None:
        check_target(context, fields.webhook.url, param="webhook.url")
    for name, most in (
        ("timeout_seconds", services.settings.job_timeout_seconds),
        ("retention_seconds", services.settings.retention_seconds),
    ):
        if (getattr(fields, name) or 0) > most:
            raise InvalidRequest(f"{name}: at most {most} on this server.", param=name)
    return fields


def refuse_unheard(context: AppContext, given: dict[str, Any]) -> None:
    """Spares an upload for nothing: `given` are the fields before the file, and may be all that anybody needs to know.

    Raises UnsupportedLanguage, ModelNotFound. What is not among them is checked when the form is whole, and so is the rest.
    """
    if not all(isinstance(given.get(name), str) for name in ("model", "language")):
        return
    named = validated(TranscriptionFields, {"model": given["model"], "language": given["language"]})
    if named.language:
        context.services.catalog.check_language(named.model, named.language)


async def _input(asked: _Asked, fields: Fields, form: Form, sink: StorageSink) -> _Input:
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
        return _fetched(asked.context, fields, fields.url)
    return await asked.context.transfer(partial(_kept, asked.context.services, asked.caller.account_id, fields))


async def _written(fields: SpeechJobFields, sink: StorageSink) -> _Input:
    """The text is kept where recordings are, so that it goes when they go."""
    await sink.begin("", declared=True)
    await sink.write(fields.text.encode())
    await sink.finish()
    assert sink.media is not None
    facts = {"type": "text", "bytes": sink.media.bytes, "sha256": sink.media.sha256, "characters": len(fields.text)}
    return _Input(facts, media=sink.media)


def _uploaded(fields: JobFields, sink: StorageSink) -> _Input:
    media = sink.media
    assert media is not None
    if sink.look and not fields.raw:
        sink.look.finish()
    return _stored(fields, media, sink.ends)


def _kept(services: Services, account_id: str, fields: JobFields) -> _Input:
    file = kept_file(services, account_id, fields)
    media, ends = look_into(services, account_id, file, fields)
    kept = _stored(fields, media, ends)
    return replace(kept, facts=kept.facts | {"file_id": file.id})


def _stored(fields: JobFields, media: Media, ends: Ends) -> _Input:
    facts: dict[str, Any] = {
        "type": "file",
        "filename": media.filename,
        "bytes": media.bytes,
        "sha256": media.sha256,
    }
    length = ends.estimate(fields.raw)
    if not length.guessed:
        facts["expected_ms"] = heard_ms(fields, length)
    return _Input(facts, media=media, ends=ends)


def check_target(context: AppContext, url: str, *, param: str) -> None:
    """Raises OutboundRefused for a URL that may not be called, whatever its name resolves to: that is checked later."""
    try:
        context.services.outbound.check(url)
    except OutboundRefused as error:
        raise OutboundRefused(error.message, param=param) from error


def _fetched(context: AppContext, fields: JobFields, url: str) -> _Input:
    check_target(context, url, param="url")
    shown = shown_url(url)
    facts = {"type": "url", "filename": shown.rsplit("/", maxsplit=1)[-1] or None, "url": shown}
    return _Input(facts, source={"url": url, "headers": fields.headers or {}})


async def _submit(asked: _Asked, fields: Fields, heard: _Input) -> Response:
    context = asked.context
    terms, known_ms = await context.query(partial(_terms, context, asked.caller.account_id, fields, heard))
    request = split(fields.request(), asked.caller.account_id)
    new = _new_job(asked, fields, heard, request, terms=terms, known_ms=known_ms)
    made_up = new.webhook_secret if fields.webhook is not None and fields.webhook.secret is None else None
    answer = partial(_answer, secret=made_up)
    once = idempotency(asked.key, f"POST {JOBS}", _said(fields, heard), answer)
    job, replayed = await _made(context, new, once, request)
    headers = {"location": f"{JOBS}/{job.id}", "retry-after": RETRY_AFTER}
    if wants_async(asked.request.headers):
        headers["preference-applied"] = RESPOND_ASYNC
    if replayed is not None:
        return JSONResponse(replayed, status_code=202, headers=headers | REPLAYED)
    await wake_workers(context, job)
    return JSONResponse(answer(job), status_code=202, headers=headers)


def _terms(context: AppContext, account_id: str, fields: Fields, heard: _Input) -> tuple[Terms | None, int]:
    """What it will cost, and the ms of sound that it says it has."""
    length = heard.ends.estimate(_declared(fields)) if heard.ends else Estimate(UNKNOWN_MS, guessed=True)
    return job_terms(context.services, account_id, fields, length), known_ms_of(fields, length)


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


def _declared(fields: Fields) -> RawSound | None:
    return None if isinstance(fields, SpeechJobFields) else fields.raw


def _new_job(
    asked: _Asked, fields: Fields, heard: _Input, request: SplitRequest, *, terms: Terms | None, known_ms: int
) -> NewJob:
    webhook, settings = fields.webhook, asked.context.services.settings
    return NewJob(
        account_id=asked.caller.account_id,
        key_id=asked.caller.key_id,
        task=fields.task,
        model=fields.model,
        request=request.kept,
        blobs=request.facts,
        job_id=request.job_id,
        media=heard.media,
        input=heard.facts,
        source=heard.source,
        client_reference_id=fields.client_reference_id,
        meta=fields.metadata,
        priority=checked_priority(asked.caller.tier, fields.priority or 0),
        queue="cpu" if heard.media is not None else "io",  # a slow download must not hold up a processor
        webhook_url=webhook.url if webhook else None,
        webhook_events=webhook.events if webhook else None,
        webhook_secret=(webhook.secret or new_secret()) if webhook else None,
        timeout_seconds=fields.timeout_seconds or settings.job_timeout_seconds,
        retention_seconds=settings.retention_seconds if fields.retention_seconds is None else fields.retention_seconds,
        request_id=asked.request.state.request_id,
        terms=terms,
        known_ms=known_ms,
    )


def _answer(job: Job, *, secret: str | None) -> dict[str, Any]:
    """The job, and once the webhook's secret if we made it: nobody could verify our signatures otherwise."""
    body = job_object(job, now=time.time())
    if secret is not None:
        body["webhook"]["secret"] = secret
    return body


def _said(fields: Fields, heard: _Input) -> list[Any]:
    """What makes two requests the same one: every field they give and the sound's own hash."""
    facts = {name: heard.facts.get(name) for name in ("filename", "bytes", "sha256")}
    return [fields.model_dump(mode="json", exclude_unset=True), facts]


async def wake_workers(context: AppContext, job: Job) -> None:
    """Tell the workers. A message that cannot be sent is no error: the sweep sends it again."""
    await context.publish(partial(context.services.queue.send_job, job.id, job.queue))
