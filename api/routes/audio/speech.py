"""The synchronous endpoint that speaks."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable
from functools import partial

from fastapi import APIRouter, Request, Response

from api.compatibility.shutdown_headers import announce_shutdown
from api.dependencies import AppContext, Caller, Context
from api.http.perf_metadata import perf, perf_headers
from api.http.repeated_headers import wants_async
from api.http.request_body import read_json
from api.http.sse import EVENT_STREAM, STREAM_HEADERS, Stream, event
from api.http.unknown_names import ignored
from api.jobs.submission import create_job
from api.openapi.document import answers, shown_as, takes
from api.sync.billing import Bill
from infra.requests.audio_options import SpeechFields
from infra.requests.usage_object import tokens
from infra.requests.validation import validated
from pipeline import run
from pipeline.audio.encode import MEDIA_TYPES
from pipeline.options import SpeechOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.transcript import TokenUsage

router = APIRouter(prefix="/v1/audio", tags=["audio"])


@router.post(
    "/speech",
    summary="Speak a text",
    responses=shown_as("audio/*", EVENT_STREAM)
    | answers(
        s400="A field that is wrong.",
        s402="The balance does not cover it.",
        s404="No such model.",
        s503="No provider could do it.",
    ),
    openapi_extra=takes(json=SpeechFields),
)
async def speech(request: Request, context: Context, caller: Caller) -> Response:
    """At most 4,096 characters; a job takes any length. The first sound is sent as soon as it is there.
    `Prefer: respond-async` makes a job of it."""
    if wants_async(request.headers):
        return await create_job(request, context, caller, task="speech")
    fields = validated(SpeechFields, await read_json(request))
    options = fields.options()
    catalog, model = context.services.catalog, context.services.catalog.model(options.model)
    announce_shutdown(request, model)
    catalog.routes(options.model, "speech")
    catalog.check_format(options.model, "speech", options.response_format)
    model.limits.check_text(options.input)
    bill = Bill.of(request, context.services, caller, options)
    spoken = await context.synthesize(partial(_begun, bill, options, context.services.registry))
    headers = _headers(request, bill, spoken)
    if fields.stream_format == "sse":
        source = _as_events(request, _blocks(context, spoken, bill), spoken, bill)
        return Stream(source, media_type=EVENT_STREAM, headers=headers | STREAM_HEADERS)
    return Stream(_blocks(context, spoken, bill), media_type=MEDIA_TYPES[options.response_format], headers=headers)


def _headers(request: Request, bill: Bill, spoken: run.Speech) -> dict[str, str]:
    request.state.cost = bill.cost_ahead
    return perf_headers(request, spoken.model_used, most=bill.promise() if bill.cost_ahead is None else None)


def _begun(bill: Bill, options: SpeechOptions, registry: ProviderRegistry) -> run.Speech:
    """Paid for as far as it can be, and with its first sound."""
    try:
        bill.expect_speech()
        return run.speak(options, registry)
    except BaseException:
        bill.release()
        raise


async def _blocks(context: AppContext, spoken: run.Speech, bill: Bill) -> AsyncGenerator[bytes, None]:
    settle: Callable[[], None] = partial(bill.settle_spoken, spoken)  # also for a client that leaves: it has got sound
    try:
        while block := await context.synthesize(partial(next, spoken, b"")):
            yield block
    except Exception:
        settle = partial(bill.settle_spoken_part, spoken)
        raise
    finally:
        await context.clean_up(partial(_ended, spoken, settle))


def _ended(spoken: run.Speech, settle: Callable[[], None]) -> None:
    try:
        spoken.close()
    finally:
        settle()


async def _as_events(
    request: Request, blocks: AsyncGenerator[bytes, None], spoken: run.Speech, bill: Bill
) -> AsyncGenerator[bytes, None]:
    """contract.md section 3; the tokens are those of the receipt."""
    try:
        async for block in blocks:
            yield event({"type": "speech.audio.delta", "audio": base64.b64encode(block).decode()})
        request.state.cost = bill.micro  # by now it is settled
        told = perf(request, spoken.model_used, spoken.milliseconds)
        done = {"usage": _usage(bill.tokens), **ignored(request), "perf": told}
        yield event({"type": "speech.audio.done", **done})
    finally:
        await blocks.aclose()


def _usage(used: TokenUsage | None) -> dict[str, int]:
    """Without a `type`, and with these three alone."""
    whole = tokens(used or TokenUsage())
    return {name: whole[name] for name in ("input_tokens", "output_tokens", "total_tokens")}
