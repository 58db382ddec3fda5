"""/v1/webhook_endpoints: where an account wants its events."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import AppContext, Caller, Context
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.request_body import read_json
from api.openapi.document import answers, takes
from api.schemas.event_samples import sample
from api.schemas.pagination import page
from api.schemas.webhooks import (
    EndpointChanges,
    EndpointDeliveryQuery,
    NewEndpoint,
    Replay,
    Rotation,
    Trial,
    endpoint_object,
)
from infra.database.tables.webhooks import WebhookAttempt, WebhookEndpoint, WebhookMessage
from infra.outbound.failures import DELIVERY_SECONDS, told_failure
from infra.requests.job_object import delivery_object
from infra.requests.preparing import check_target
from infra.requests.validation import validated
from infra.webhooks.outbox import EVENT_TYPES

router = APIRouter(prefix="/v1", tags=["webhooks"])
ENDPOINT = "/webhook_endpoints/{endpoint_id}"
PATIENCE = DELIVERY_SECONDS + 5.0  # seconds for a test event's only attempt, which may run out of time
LOOK = 0.2  # seconds between two looks for it
NO_ENDPOINT = answers(s404="No such endpoint.")
UNTRIED = {
    "code": "not_tried_yet",
    "message": "No attempt was made in time. It will be, once a worker of the role `io` has room for it; if none lives, start one.",
}


@router.get("/webhook_event_types", summary="Which events there are")
async def event_types() -> dict[str, Any]:
    """The names to subscribe to."""
    return {"object": "list", "data": list(EVENT_TYPES)}


@router.post(
    "/webhook_endpoints",
    summary="Make an endpoint",
    responses=answers(s409="Idempotency-Key used before."),
    openapi_extra=takes(json=NewEndpoint),
)
async def create(request: Request, context: Context, caller: Caller) -> Response:
    """`signing_secret` is shown in this answer only, the values of `headers` never. `Idempotency-Key` makes repeating it
    harmless."""
    key = idempotency_key(request)
    wanted = validated(NewEndpoint, await read_json(request))
    check_target(context.services, wanted.url, param="url")
    answer = partial(endpoint_object, with_secret=True, now=time.time())
    once = idempotency(key, "POST /v1/webhook_endpoints", wanted.model_dump(mode="json"), answer)
    made = partial(context.services.webhooks.create_endpoint_once, caller.account_id, once, **wanted.model_dump())
    endpoint, replayed = await context.query(made)
    if replayed is not None:
        return JSONResponse(replayed, headers=REPLAYED)
    return JSONResponse(answer(endpoint))


@router.get("/webhook_endpoints", summary="List the endpoints")
async def list_endpoints(
    context: Context,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """The newest first."""
    listed = partial(context.services.webhooks.endpoints, caller.account_id, limit=limit, after=after, order=order)
    endpoints, has_more = await context.query(listed)
    return page(await _shown(context, caller.account_id, *endpoints), has_more=has_more)


@router.get(ENDPOINT, summary="Show an endpoint", responses=NO_ENDPOINT)
async def show(context: Context, caller: Caller, endpoint_id: str) -> dict[str, Any]:
    """Without its secrets. `failing_since` and `error` say since when, and why, nothing was taken; `pending` how many events wait;
    `previous_secret_expires_at` until when a rotated secret signs, too."""
    found = await context.query(partial(context.services.webhooks.endpoint, caller.account_id, endpoint_id))
    return (await _shown(context, caller.account_id, found))[0]


async def _shown(
    context: AppContext, account_id: str, *endpoints: WebhookEndpoint, with_secret: bool = False
) -> list[dict[str, Any]]:
    waiting = await context.query(partial(context.services.webhooks.pending, account_id))
    as_object = partial(endpoint_object, now=time.time(), with_secret=with_secret)
    return [as_object(endpoint, pending=waiting.get(endpoint.id, 0)) for endpoint in endpoints]


@router.post(ENDPOINT, summary="Change an endpoint", responses=NO_ENDPOINT, openapi_extra=takes(json=EndpointChanges))
async def update(request: Request, context: Context, caller: Caller, endpoint_id: str) -> dict[str, Any]:
    """What is given is changed. A new URL gets what waits; the endpoint's own headers go with it to the same server only."""
    changes = validated(EndpointChanges, await read_json(request, empty={}))
    if changes.url is not None:
        check_target(context.services, changes.url, param="url")
    changed = partial(
        context.services.webhooks.update_endpoint,
        caller.account_id,
        endpoint_id,
        **changes.model_dump(exclude_none=True),
    )
    return (await _shown(context, caller.account_id, await context.query(changed)))[0]


@router.delete(ENDPOINT, summary="Delete an endpoint", responses=NO_ENDPOINT)
async def delete(context: Context, caller: Caller, endpoint_id: str) -> dict[str, Any]:
    """What still waits to be sent there is dropped."""
    await context.query(partial(context.services.webhooks.delete_endpoint, caller.account_id, endpoint_id))
    return {"id": endpoint_id, "deleted": True, "object": "webhook_endpoint.deleted"}


@router.post(
    ENDPOINT + "/rotate_secret",
    summary="Make a new secret",
    responses=NO_ENDPOINT,
    openapi_extra=takes(json=Rotation),
)
async def rotate(request: Request, context: Context, caller: Caller, endpoint_id: str) -> dict[str, Any]:
    """`signing_secret` is shown in this answer only; for 24 hours both may sign, where asked for."""
    keep_old = validated(Rotation, await read_json(request, empty={})).keep_old_secret_active_for_24_hours
    rotated = partial(context.services.webhooks.rotate_secret, caller.account_id, endpoint_id, keep_old=keep_old)
    return (await _shown(context, caller.account_id, await context.query(rotated), with_secret=True))[0]


@router.post(ENDPOINT + "/test", summary="Send a test event", responses=NO_ENDPOINT, openapi_extra=takes(json=Trial))
async def test(request: Request, context: Context, caller: Caller, endpoint_id: str) -> dict[str, Any]:
    """Sent like every other event, but once: the answer waits for what comes of it, and `error` says what went wrong. `data` of the
    event is a sample of its type with `"test": true`. A disabled endpoint can be tested, too."""
    kind = validated(Trial, await read_json(request, empty={})).event_type
    data = sample(kind, context.services.settings.public_url)
    make = partial(context.services.webhooks.send_test, caller.account_id, endpoint_id, kind, data)
    message = await context.query(make)
    request.state.slot.give_back()
    await _notify(context, message)
    message = await _attempted(context, caller.account_id, message)
    success = message.status == "delivered"
    error = told_failure(message.last_error, message.last_status)
    return {
        "object": "webhook_endpoint.test",
        "event_type": message.type,
        "status_code": message.last_status,
        "success": success,
        "error": error if success else error or UNTRIED,
        "webhook_endpoint_id": endpoint_id,
        "delivery_id": message.id,
    }


@router.get(ENDPOINT + "/deliveries", summary="What was sent there", responses=NO_ENDPOINT)
async def deliveries(
    context: Context, caller: Caller, endpoint_id: str, query: Annotated[EndpointDeliveryQuery, Query()]
) -> dict[str, Any]:
    """The newest first, each with every attempt; by status, time of the event (`since`, `until`) and job."""
    store = context.services.webhooks
    await context.query(partial(store.endpoint, caller.account_id, endpoint_id))
    which = query.which(endpoint_id=endpoint_id, job_id=query.job_id)
    listed = partial(store.messages, caller.account_id, which, limit=query.limit, after=query.after)
    found, has_more = await context.query(listed)
    return page([delivery_object(message, attempts) for message, attempts in found], has_more=has_more)


@router.post(
    ENDPOINT + "/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send one again",
    responses=NO_ENDPOINT | answers(s409="The endpoint is disabled."),
)
async def replay(context: Context, caller: Caller, endpoint_id: str, delivery_id: str) -> dict[str, Any]:
    """The same event with the same id, on a fresh schedule."""
    store = context.services.webhooks
    again = partial(store.replay, caller.account_id, delivery_id, endpoint_id=endpoint_id)
    await _notify(context, await context.query(again))
    message, attempts = await context.query(partial(store.message, caller.account_id, delivery_id))
    return delivery_object(message, attempts)


@router.post(
    ENDPOINT + "/replay",
    status_code=202,
    summary="Send all of some time again",
    responses=NO_ENDPOINT | answers(s409="The endpoint is disabled."),
    openapi_extra=takes(json=Replay),
)
async def replay_all(request: Request, context: Context, caller: Caller, endpoint_id: str) -> dict[str, Any]:
    """For a consumer that was away, or has lost what it got: every event from `since` to `until`, delivered or not, with its id,
    the oldest first. `status` leaves out the rest: `exhausted`, or `dropped` for those of a time in which it was disabled."""
    await context.query(partial(context.services.webhooks.endpoint, caller.account_id, endpoint_id))
    asked = validated(Replay, await read_json(request))
    again = partial(
        context.services.webhooks.replay_all,
        caller.account_id,
        endpoint_id,
        since=asked.since,
        until=asked.until,
        status=asked.status,
    )
    return {
        "object": "webhook_endpoint.replay",
        "webhook_endpoint_id": endpoint_id,
        "replayed": await context.query(again),
    }


async def _attempted(context: AppContext, account_id: str, message: WebhookMessage) -> WebhookMessage:
    """The message after its first attempt was answered, or as it is when that takes too long. An attempt that has only
    begun is counted already; it is in the log once it is known what came of it."""
    deadline = time.monotonic() + PATIENCE
    log: list[WebhookAttempt] = []
    while not log and message.status == "pending" and time.monotonic() < deadline and not context.shutting_down:
        await anyio.sleep(LOOK)
        message, log = await context.look(partial(context.services.webhooks.message, account_id, message.id))
    return message


async def _notify(context: AppContext, message: WebhookMessage) -> None:
    await context.publish(partial(context.services.queue.send_delivery, message.id))
