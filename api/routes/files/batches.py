"""/v1/batches: thousands of requests in one file, answered in another."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import Caller, Context
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.request_body import read_json
from api.http.unknown_names import ignored
from api.openapi.document import answers, takes
from api.schemas.batches import BatchFields, batch_object, window_seconds
from api.schemas.pagination import page
from infra.batches.batch_store import NewBatch
from infra.requests.validation import validated

router = APIRouter(prefix="/v1/batches", tags=["files"])
BATCH = "/{batch_id}"
NO_BATCH = answers(s404="No such batch.")


@router.post(
    "",
    summary="Make a batch",
    responses=answers(s400="A field is wrong, or there is no such file.", s409="Idempotency-Key used before."),
    openapi_extra=takes(json=BatchFields),
)
async def create(request: Request, context: Context, caller: Caller) -> Response:
    """Its lines are read first, and then run as jobs of low priority, a few at a time, whatever else the account does.
    `Idempotency-Key` makes repeating it harmless."""
    key = idempotency_key(request)
    fields = validated(BatchFields, await read_json(request))
    new = NewBatch(
        account_id=caller.account_id,
        key_id=caller.key_id,
        endpoint=fields.endpoint,
        input_file_id=fields.input_file_id,
        completion_window=fields.completion_window,
        window_seconds=window_seconds(fields.completion_window),
        keep_seconds=fields.output_expires_after.seconds if fields.output_expires_after else None,
        metadata=fields.metadata,
        request_id=request.state.request_id,
        complete_by=fields.complete_by,
    )
    once = idempotency(key, "POST /v1/batches", fields.model_dump(mode="json"), batch_object)
    batch, replayed = await context.query(partial(context.services.batches.create, new, once))
    if replayed is not None:
        return JSONResponse(replayed | ignored(request), headers=REPLAYED)
    return JSONResponse(batch_object(batch) | ignored(request))


@router.get("", summary="List the batches")
async def list_batches(
    context: Context,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """The newest first."""
    listed = partial(context.services.batches.list, caller.account_id, limit=limit, after=after)
    batches, has_more = await context.query(listed)
    return page([batch_object(batch) for batch in batches], has_more=has_more)


@router.get(BATCH, summary="Show a batch", responses=NO_BATCH)
async def show(context: Context, caller: Caller, batch_id: str) -> dict[str, Any]:
    """`request_counts`, `cost` and `usage` grow while it runs. `GET /v1/audio/jobs?batch_id=` lists its jobs."""
    return batch_object(await context.query(partial(context.services.batches.get, caller.account_id, batch_id)))


@router.post(BATCH + "/cancel", summary="Cancel a batch", responses=NO_BATCH | answers(s409="It has ended."))
async def cancel(context: Context, caller: Caller, batch_id: str) -> dict[str, Any]:
    """Nothing more of it begins; what was answered until then is in its output, and paid."""
    return batch_object(await context.query(partial(context.services.batches.cancel, caller.account_id, batch_id)))
