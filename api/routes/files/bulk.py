"""/v1/audio/bulk: all recordings of a bucket, from there and back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import AppContext, Caller, Context
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.request_body import read_json
from api.http.sse import Stream
from api.openapi.document import answers, takes
from api.schemas.bulk import NOT_OF_A_RUN, BulkFields, SourceQuery, bulk_object, job_options
from api.schemas.pagination import page
from infra.batches.batch_store import NewBatch
from infra.batches.bulk_plan import BULK, BulkPlan, plan_of
from infra.batches.report_lines import as_csv, as_jsonl, report_line, states_of, summary
from infra.database.tables.batches import Batch, BatchLine
from infra.keys.accounts import Principal
from infra.keys.tiers import checked_priority
from infra.requests.job_request import JobFields
from infra.requests.known_names import json_schema_of
from infra.requests.preparing import check_target, job_fields
from infra.requests.validation import validated
from infra.webhooks.signing_secrets import new_secret
from pipeline.errors import Expired, InvalidRequest

router = APIRouter(prefix="/v1/audio/bulk", tags=["files"])
RUN = "/{bulk_id}"
NO_RUN = answers(s404="No such run.")
WINDOW = 7 * 24 * 3600  # seconds for which what its jobs brought is kept at least, should its bucket be away
PAGE = 500
JOB_OPTIONS = {name: kind for name, kind in json_schema_of(JobFields)["properties"].items() if name not in NOT_OF_A_RUN}
MEDIA_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8", "summary": "application/json"}


@router.post(
    "",
    status_code=202,
    summary="Transcribe a bucket",
    responses=answers(
        s400="A field is wrong.",
        s403="`bucket_not_allowed`: the operator has not opened that place to the account.",
        s404="No such model.",
        s409="Another run writes to the same place, or Idempotency-Key used before.",
    ),
    openapi_extra=takes(json=BulkFields, besides=JOB_OPTIONS),
)
async def create(request: Request, context: Context, caller: Caller) -> Response:
    """The recordings below `input.uri`, or those that it lists, are heard as jobs of low priority; outputs and a report are written
    below `output.uri`. What a run before it has done is not done again. `Idempotency-Key` makes repeating it harmless."""
    key, given = idempotency_key(request), await read_json(request)
    fields = validated(BulkFields, given)
    plan = await context.query(partial(_checked, context, caller, fields, given))
    secret = new_secret() if fields.webhook is not None and not fields.webhook.secret else None
    new = partial(_new, context, caller, fields, plan, secret=secret, request_id=request.state.request_id)
    once = idempotency(key, "POST /v1/audio/bulk", fields.model_dump(mode="json"), partial(bulk_object, secret=secret))
    batch, replayed = await context.query(lambda: context.services.batches.create(new(), once))
    if replayed is not None:
        return JSONResponse(replayed, status_code=202, headers=REPLAYED)
    headers = {"location": f"{context.services.settings.public_url}/v1/audio/bulk/{batch.id}"}
    return JSONResponse(bulk_object(batch, secret=secret), status_code=202, headers=headers)


def _checked(context: AppContext, caller: Principal, fields: BulkFields, given: dict[str, Any]) -> BulkPlan:
    """Everything that can be refused without a look into the bucket."""
    options = job_fields(context.services, {**job_options(given), "s3_uri": fields.input.uri})
    if not isinstance(options, JobFields):
        raise InvalidRequest("A bulk run hears recordings: `task` is transcription or translation.", param="task")
    checked_priority(caller.tier, fields.priority or 0)
    if fields.webhook is not None:
        check_target(context.services, fields.webhook.url, param="webhook.url")
    plan, buckets = fields.plan(options), context.services.buckets
    _ = plan.selection
    buckets.open(caller.account_id, plan.source.folder if plan.mode == "prefix" else plan.source, "read")
    buckets.open(caller.account_id, plan.target, "write")
    if plan.layout == "adjacent":
        buckets.open(caller.account_id, plan.source.folder, "write")
    return plan


def _new(
    context: AppContext, caller: Principal, fields: BulkFields, plan: BulkPlan, *, secret: str | None, request_id: str
) -> NewBatch:
    webhook = fields.webhook
    return NewBatch(
        account_id=caller.account_id,
        key_id=caller.key_id,
        kind=BULK,
        plan=plan.model_dump(mode="json"),
        endpoint="/v1/audio/jobs",
        input_file_id="",
        completion_window="",
        window_seconds=WINDOW,
        keep_seconds=None,
        metadata=fields.metadata,
        request_id=request_id,
        complete_by=fields.complete_by,
        webhook_url=webhook.url if webhook else None,
        webhook_events=webhook.events if webhook else None,
        webhook_secret=context.services.secrets.seal(webhook.secret or secret or "") if webhook else None,
    )


@router.get("", summary="List the bulk runs")
async def list_runs(
    context: Context,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """The newest first."""
    listed = partial(context.services.batches.list, caller.account_id, kind=BULK, limit=limit, after=after)
    batches, has_more = await context.query(listed)
    return page([bulk_object(batch) for batch in batches], has_more=has_more)


@router.get(RUN, summary="Show a bulk run", responses=NO_RUN)
async def show(context: Context, caller: Caller, bulk_id: str) -> dict[str, Any]:
    """`counts`, `hours` and `cost` grow while it runs; `estimate` is that of a dry run."""
    return bulk_object(await _run(context, caller, bulk_id))


@router.get(
    RUN + "/files", summary="List a run's recordings", responses=NO_RUN | answers(s410="Only its report knows.")
)
async def files(
    context: Context, caller: Caller, bulk_id: str, query: Annotated[SourceQuery, Query()]
) -> dict[str, Any]:
    """As the report tells of them, in the order of the bucket."""
    batch = await _run(context, caller, bulk_id)
    states = None if query.state is None else states_of(query.state)
    lines = await _lines(context, batch, query.after, query.limit + 1, states)
    shown = [{"n": line.n, **report_line(line)} for line in lines[: query.limit]]
    return {"object": "list", "data": shown, "has_more": len(lines) > query.limit}


@router.get(
    RUN + "/report", summary="Read a run's report", responses=NO_RUN | answers(s410="It is in the bucket alone.")
)
async def report(
    context: Context,
    caller: Caller,
    bulk_id: str,
    format: Annotated[Literal["jsonl", "csv", "summary"], Query(description="As in the bucket.")] = "jsonl",
) -> Response:
    """As it stands now; the same is written below `output.uri`, in `_report/`."""
    batch = await _run(context, caller, bulk_id)
    if format == "summary":
        return JSONResponse(summary(batch, plan_of(batch).spent_micro))
    first = await _lines(context, batch, 0, PAGE, None)
    written = _written(context, batch, first, as_csv if format == "csv" else as_jsonl)
    return Stream(written, media_type=MEDIA_TYPES[format])


async def _written(
    context: AppContext, batch: Batch, lines: list[BatchLine], shape: Callable[[Any], Iterator[bytes]]
) -> AsyncGenerator[bytes, None]:
    """A page at a time; CSV has its names before the first one alone."""
    begun = False
    while True:
        pieces = list(shape([report_line(line) for line in lines]))
        yield b"".join(pieces[1:] if begun and shape is as_csv else pieces)
        if len(lines) < PAGE:
            return
        begun = True
        lines = await context.query(partial(context.services.sources.page, batch.id, after=lines[-1].n, limit=PAGE))


async def _lines(
    context: AppContext, batch: Batch, after: int, limit: int, states: list[str] | None
) -> list[BatchLine]:
    """Raises Expired."""
    read = partial(context.services.sources.page, batch.id, after=after, limit=limit, states=states)
    lines = await context.query(read)
    if not lines and not after and states is None and batch.total:
        raise Expired("The run ended long ago: its report in the bucket is all that is left.")
    return lines


@router.post(RUN + "/cancel", summary="Cancel a bulk run", responses=NO_RUN | answers(s409="It has ended."))
async def cancel(context: Context, caller: Caller, bulk_id: str) -> dict[str, Any]:
    """Nothing more of it begins; what was heard until then is written, and paid."""
    cancelled = partial(context.services.batches.cancel, caller.account_id, bulk_id, BULK)
    return bulk_object(await context.query(cancelled))


@router.post(
    RUN + "/retry", status_code=202, summary="Try again what failed", responses=NO_RUN | answers(s409="Nothing has.")
)
async def retry(context: Context, caller: Caller, bulk_id: str) -> dict[str, Any]:
    """Only the recordings of a completed run that have failed."""
    return bulk_object(await context.query(partial(context.services.sources.retry, caller.account_id, bulk_id)))


async def _run(context: AppContext, caller: Principal, bulk_id: str) -> Batch:
    return await context.query(partial(context.services.batches.get, caller.account_id, bulk_id, BULK))
