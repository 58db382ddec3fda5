"""The synchronous endpoint that speaks."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from functools import partial

from fastapi import APIRouter, Request, Response

from api.body import checked, read_json
from api.deps import Caller, Desk, TheDesk
from api.documented import answers, shown_as, takes
from api.intake import create_job, wants_async
from api.perf import perf_headers
from api.schemas.options import SpeechFields
from api.streaming import EVENT_STREAM, STREAM_HEADERS, Stream, event
from pipeline import run
from pipeline.audio.encode import MEDIA_TYPES

router = APIRouter(prefix="/v1/audio", tags=["audio"])


@router.post(
    "/speech",
    summary="Speak a text",
    responses=shown_as("audio/*", EVENT_STREAM)
    | answers(s400="A field that is wrong.", s404="No such model.", s503="No provider could do it."),
    openapi_extra=takes(json=SpeechFields),
)
async def speech(request: Request, desk: TheDesk, caller: Caller) -> Response:
    """At most 4,096 characters; a job takes any length. The first sound is sent as soon as it is there.
    `Prefer: respond-async` makes a job of it."""
    if wants_async(request):
        return await create_job(request, desk, caller, task="speech")
    fields = checked(SpeechFields, await read_json(request))
    options = fields.options()
    desk.services.catalog.routes(options.model, "speech")
    spoken = await desk.utter(partial(run.speak, options, desk.services.toolbox))
    headers = perf_headers(request, spoken.model_used)
    if fields.stream_format == "sse":
        source = _as_events(_blocks(desk, spoken), characters=len(options.input))
        return Stream(source, media_type=EVENT_STREAM, headers=headers | STREAM_HEADERS)
    return Stream(_blocks(desk, spoken), media_type=MEDIA_TYPES[options.response_format], headers=headers)


async def _blocks(desk: Desk, spoken: run.Speech) -> AsyncGenerator[bytes, None]:
    try:
        while block := await desk.utter(partial(next, spoken, b"")):
            yield block
    finally:
        await desk.closing(spoken.close)


async def _as_events(blocks: AsyncGenerator[bytes, None], *, characters: int) -> AsyncGenerator[bytes, None]:
    """contract.md section 3; no provider here counts tokens, so a character counts as one."""
    try:
        async for block in blocks:
            yield event({"type": "speech.audio.delta", "audio": base64.b64encode(block).decode()})
        used = {"input_tokens": characters, "output_tokens": 0, "total_tokens": characters}
        yield event({"type": "speech.audio.done", "usage": used})
    finally:
        await blocks.aclose()
