"""What was sent of a job's end: to its own webhook, and to its account's endpoints."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.dependencies import JOBS, Caller, Context
from api.openapi.document import answers
from api.schemas.pagination import page
from infra.requests.job_object import delivery_object
from pipeline.errors import NotFound

router = APIRouter(prefix=JOBS + "/{job_id}", tags=["job results"])
NO_JOB = answers(s404="No such job.")


@router.get("/deliveries", summary="The webhook deliveries", responses=NO_JOB)
async def deliveries(
    context: Context,
    caller: Caller,
    job_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(description="A delivery's id: what follows it.")] = None,
) -> dict[str, Any]:
    """Each message this job caused, to its own webhook and to the account's endpoints, with its body and every attempt."""
    await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    listed = partial(context.services.webhooks.messages, caller.account_id, job_id=job_id, limit=limit, after=after)
    found, has_more = await context.query(listed)
    return page([delivery_object(message, attempts) for message, attempts in found], has_more=has_more)


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send one again",
    responses=answers(s404="No such job, or no such delivery of it."),
)
async def replay(context: Context, caller: Caller, job_id: str, delivery_id: str) -> dict[str, Any]:
    """The same event with the same id and body, on a fresh schedule, wherever it was sent to."""
    store = context.services.webhooks
    found, _ = await context.query(partial(store.message, caller.account_id, delivery_id))
    if found.job_id != job_id:
        raise NotFound("There is no such delivery.")
    message = await context.query(partial(store.replay, caller.account_id, delivery_id))
    await context.publish(partial(context.services.queue.send_delivery, message.id))
    return delivery_object(*await context.query(partial(store.message, caller.account_id, delivery_id)))
