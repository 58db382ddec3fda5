"""What was sent of a job's end: to its own webhook, and to its account's endpoints."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.dependencies import JOBS, Caller, Context
from api.openapi.document import answers
from api.schemas.pagination import page
from api.schemas.webhooks import DeliveryQuery
from infra.requests.job_object import delivery_object

router = APIRouter(prefix=JOBS + "/{job_id}", tags=["job results"])
NO_JOB = answers(s404="No such job.")


@router.get("/deliveries", summary="The webhook deliveries", responses=NO_JOB)
async def deliveries(
    context: Context, caller: Caller, job_id: str, query: Annotated[DeliveryQuery, Query()]
) -> dict[str, Any]:
    """Each message this job caused, to its own webhook and to the account's endpoints, with its body and every attempt; by status
    and time."""
    await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    which = query.which(job_id=job_id)
    listed = partial(context.services.webhooks.messages, caller.account_id, which, limit=query.limit, after=query.after)
    found, has_more = await context.query(listed)
    return page([delivery_object(message, attempts) for message, attempts in found], has_more=has_more)


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send one again",
    responses=answers(
        s404="No such job, or no such delivery of it.", s409="The endpoint is disabled.", s410="The job was purged."
    ),
)
async def replay(context: Context, caller: Caller, job_id: str, delivery_id: str) -> dict[str, Any]:
    """The same event with the same id and body, on a fresh schedule, wherever it was sent to."""
    store = context.services.webhooks
    await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    message = await context.query(partial(store.replay, caller.account_id, delivery_id, job_id=job_id))
    await context.publish(partial(context.services.queue.send_delivery, message.id))
    return delivery_object(*await context.query(partial(store.message, caller.account_id, delivery_id)))
