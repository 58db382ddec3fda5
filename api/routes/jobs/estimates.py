"""POST /v1/audio/estimates: what a job would take and cost, without making one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request

from api.dependencies import AppContext, Caller, Context
from api.http.request_body import read_json
from api.jobs.dry_run import HearingPlan, Measured, Scratch, fetch_and_measure, measure
from api.jobs.submission import refuse_unheard
from api.jobs.work_ahead import work_ahead
from api.openapi.document import answers, takes
from api.schemas.estimates import Estimated, EstimateFields
from api.uploads.form import read_form
from api.uploads.sinks import beyond, size_first
from infra.requests.preparing import check_target
from infra.requests.validation import validated
from pipeline.catalog.model import Prices
from pipeline.cut.time_range import Part
from pipeline.errors import InvalidRequest, MediaTooLong
from pipeline.options import Task
from pipeline.pricing import Usage, estimated_usage
from pipeline.run import cut_profile, of_a_job
from pipeline.text.text_splitter import PASSAGE, passages
from pipeline.transcript import SAMPLE_RATE, samples_to_ms

router = APIRouter(prefix="/v1/audio", tags=["money"])
ONE = "Send exactly one of a multipart `file`, `url`, `duration_seconds` and `text`."


@dataclass(frozen=True)
class _Asked:
    """One request, and its recording where one was sent."""

    request: Request
    context: AppContext
    account_id: str
    fields: EstimateFields
    scratch: Scratch | None = None


@router.post(
    "/estimates",
    summary="Estimate a job",
    responses=answers(s400="Not audio we take, or a field that is wrong.", s404="No such model."),
    openapi_extra=takes(json=EstimateFields, form=EstimateFields),
)
async def estimate(request: Request, context: Context, caller: Caller) -> dict[str, Any]:
    """Duration, chunks and cost of a job with the same fields. Nothing is kept, heard or billed. A multipart `file` or a
    `url` is decoded to its end, or its `range`'s (`measured`); `duration_seconds` and `text` are taken at their word. An account
    may have so many minutes of sound decoded a day (`estimate_minutes_per_day`)."""
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        given = await read_json(request)
        fields = validated(EstimateFields, given, missing=_missing_input(given, None))
        return await _estimated(_Asked(request, context, caller.account_id, fields))
    limit = context.services.settings.max_upload_bytes
    scratch = Scratch(context, caller.account_id, limit=limit)
    try:
        with size_first(request, limit, beyond(limit)):
            form = await read_form(request, scratch, before_file=partial(refuse_unheard, context))
        fields = validated(EstimateFields, form.fields, missing=_missing_input(form.fields, form.filename))
        return await _estimated(_Asked(request, context, caller.account_id, fields, scratch if form.filename else None))
    finally:
        scratch.close()


def _missing_input(given: Any, filename: str | None) -> tuple[str, ...]:
    """The recording, where nothing is there to estimate."""
    names = ("url", "duration_seconds", "text", "input")
    there = filename is not None or (isinstance(given, dict) and any(given.get(name) for name in names))
    return () if there else ("file",)


async def _estimated(asked: _Asked) -> dict[str, Any]:
    fields, services = asked.fields, asked.context.services
    given = fields.given(file=asked.scratch is not None)
    if len(given) != 1:
        raise InvalidRequest(ONE, param=given[1] if given else "file")
    task = fields.task or ("speech" if given == ["text"] else "transcription")
    if (task == "speech") != (given == ["text"]):
        raise InvalidRequest(
            f"The task {task} takes {'a `text`' if task == 'speech' else 'a recording'}.", param=given[0]
        )
    catalog = services.catalog
    routes = catalog.routes(fields.model, task) if task == "speech" else catalog.routes_for(fields.options(task))
    usage, chunks = await (_of_text(asked) if task == "speech" else _of_sound(asked, task, given[0]))
    ratio = await asked.context.query(partial(services.ratios.of, fields.model, asked.account_id))
    return Estimated(
        task=task,
        model=fields.model,
        usage=usage,
        chunks=chunks,
        measured=given[0] in ("file", "url"),
        prices=_prices(asked, task),
        ratio=ratio,
        work=await asked.context.query(
            partial(
                work_ahead,
                services,
                routes[0],
                usage.audio_ms,
                speakers=_asks_who_speaks(asked, task) and not routes[0].diarizes,
            )
        ),
        balance=await asked.context.query(partial(services.ledger.balance, asked.account_id)),
    ).shown()


def _asks_who_speaks(asked: _Asked, task: Task) -> bool:
    return task != "speech" and asked.fields.options(task).tells_apart


def _prices(asked: _Asked, task: Task) -> Prices:
    return asked.context.services.catalog.model(asked.fields.model).prices.of(speakers=_asks_who_speaks(asked, task))


async def _of_text(asked: _Asked) -> tuple[Usage, int]:
    text = asked.fields.text or ""
    chunks = await asked.context.query(lambda: sum(1 for _ in passages(text, longest=PASSAGE)))
    return estimated_usage(_prices(asked, "speech"), text=text), chunks


async def _of_sound(asked: _Asked, task: Any, given: str) -> tuple[Usage, int]:
    fields, services = asked.fields, asked.context.services
    options = of_a_job(fields.options(task), services.registry)
    profile = await asked.context.work(partial(cut_profile, options, services.registry))
    part = Part.of_seconds(fields.range.start, fields.range.end) if fields.range else Part()
    how = HearingPlan(profile, part, options)
    ms, chunks = _stated(asked, how) if given == "duration_seconds" else await _measured(asked, how)
    return estimated_usage(_prices(asked, task), audio_ms=ms, text=fields.prompt or ""), chunks


async def _measured(asked: _Asked, how: HearingPlan) -> Measured:
    if asked.scratch is not None:
        return await measure(asked.request, asked.context, asked.scratch, how)
    url = asked.fields.url
    assert url is not None
    check_target(asked.context.services, url, param="url")
    source = (url, asked.fields.headers or {})
    return await fetch_and_measure(asked.request, asked.context, asked.account_id, source, how)


def _stated(asked: _Asked, how: HearingPlan) -> Measured:
    """A recording without silence is cut into as many chunks as there must be; silence can make it some more."""
    seconds, most = asked.fields.duration_seconds or 0.0, asked.context.services.settings.max_audio_seconds
    if seconds > most:
        raise MediaTooLong(f"The recording is longer than the limit of {most} seconds.", param="duration_seconds")
    if how.options.apart:
        several, param = ("channels", "channels") if how.options.separate else ("tracks", "audio_track")
        raise InvalidRequest(
            f"How many {several} there are, only the recording tells: send it, or its `url`.", param=param
        )
    whole, part = round(seconds * SAMPLE_RATE), how.part
    samples = max(0, min(whole, part.end or whole) - part.start)
    return samples_to_ms(samples), -(-samples // round(how.profile.max_s * SAMPLE_RATE))
