"""GET /v1/webhook_events: the account's events as they happen, for consumers that have no public address."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated

import anyio
from fastapi import APIRouter, Query, Request, Response

from api.dependencies import AppContext, Caller, Context
from api.http.sse import EVENT_STREAM, KEEPALIVE, KEEPALIVE_SECONDS, STREAM_HEADERS, Stream, event
from api.openapi.document import answers, shown_as
from api.schemas.webhooks import ListenQuery
from infra.database.tables.webhooks import WebhookMessage
from pipeline.errors import InvalidRequest, Unauthenticated

router = APIRouter(prefix="/v1", tags=["webhooks"])
LOOK_SECONDS = 1.0  # between two looks
NO_STREAM = (
    "This is a stream of events. Send `Accept: text/event-stream`, or `stream=true`; `stenopool listen` reads it."
)


@router.get(
    "/webhook_events",
    summary="Follow the events as they happen",
    responses=shown_as(EVENT_STREAM) | answers(s400="No stream was asked for, or there is no such event type."),
)
async def follow(
    request: Request, context: Context, caller: Caller, query: Annotated[ListenQuery, Query()]
) -> Response:
    """What an endpoint would be sent from now on, as server-sent events: `id` is the event's, `event` its type, `data` the body of
    the webhook. The first line has the stream's own id: who comes back with it in `listener` within two minutes misses nothing."""
    if not query.stream and EVENT_STREAM not in request.headers.get("accept", ""):
        raise InvalidRequest(NO_STREAM, param="stream")
    begin = partial(context.services.webhooks.listen, caller.account_id, query.types(), query.listener)
    listener = await context.query(begin)
    request.state.slot.give_back()
    return Stream(_followed(context, caller.key_id, listener), media_type=EVENT_STREAM, headers=STREAM_HEADERS)


async def _followed(context: AppContext, key_id: str, listener: str) -> AsyncGenerator[bytes, None]:
    """For as long as the key is good and the server runs. What is out is gone; what is not comes again. Holds no slot."""
    store, spoke_at = context.services.webhooks, time.monotonic()
    yield event({"id": listener, "object": "webhook_listener"}, name="listening")
    while not context.shutting_down:
        found = await context.look(partial(_news, context, key_id, listener))
        if found is None:
            return
        for message in found:
            yield _frame(message)
        if found:
            spoke_at = time.monotonic()
            await context.look(partial(store.read, [message.id for message in found]))
            continue
        if time.monotonic() - spoke_at >= KEEPALIVE_SECONDS:
            spoke_at = time.monotonic()
            yield KEEPALIVE
            if not await context.look(partial(store.still_there, listener)):
                return
        await anyio.sleep(LOOK_SECONDS)


def _news(context: AppContext, key_id: str, listener: str) -> list[WebhookMessage] | None:
    """What has come about since the last look; None: the key is not good any more."""
    try:
        context.services.accounts.want_running(key_id)
    except Unauthenticated:
        return None
    return context.services.webhooks.overheard(listener)


def _frame(message: WebhookMessage) -> bytes:
    """The body byte for byte: it is one line of JSON."""
    return f"id: {message.id}\nevent: {message.type}\ndata: ".encode() + message.body + b"\n\n"
