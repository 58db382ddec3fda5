"""The synchronous endpoints that hear: sound to text, and sound to English text."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from api.compatibility.shutdown_headers import announce_shutdown
from api.dependencies import AppContext, Caller, Context, context_of, principal_of
from api.http.client_disconnect import ClientDisconnect
from api.http.perf_metadata import perf_headers
from api.http.repeated_headers import wants_async
from api.http.request_body import holder
from api.http.unknown_names import ignore
from api.jobs.submission import create_job
from api.openapi.document import answers, takes
from api.sync.background_work import BackgroundWork
from api.sync.billing import Bill
from api.sync.handed_out import HandedOut, Told
from api.sync.transcription_response import Answer, Hearing
from api.uploads.form import read_form
from api.uploads.sinks import SYNC_LIMIT, TOO_LARGE, MemorySink, announced_bytes, size_first
from infra.keys.accounts import Principal
from infra.requests.audio_options import TranscriptionFields
from infra.requests.validation import validated
from pipeline import passthrough
from pipeline.concurrency.stopping import stopped_by
from pipeline.errors import InvalidRequest, StenopoolError
from pipeline.options import TranscriptionOptions
from pipeline.quality.omissions import loss
from pipeline.resilience.route_watch import RouteWatch
from pipeline.run import is_local
from pipeline.transcript import Segment, Transcript

router = APIRouter(prefix="/v1/audio", tags=["audio"])

log = logging.getLogger("stenopool.api")

Task = Literal["transcription", "translation"]
HandOut = Callable[[Told], None]
WORKERS = 2  # chunks of one synchronous request heard at once
DOCUMENTED: dict[str, Any] = {
    "responses": answers(
        s400="Not audio we take, or a field that is wrong.",
        s402="The balance does not cover it.",
        s404="No such model.",
        s503="No provider could do it.",
    ),
    "openapi_extra": takes(form=TranscriptionFields),
}


@router.post("/transcriptions", summary="Transcribe a recording", **DOCUMENTED)
async def transcriptions(request: Request, context: Context, caller: Caller) -> Response:
    """At most 25 MB; `POST /v1/audio/jobs` takes any length. `Prefer: respond-async` makes a job of it."""
    if wants_async(request.headers):
        return await create_job(request, context, caller, task="transcription")
    return await _heard(request, context, caller, "transcription")


@router.post("/translations", summary="Transcribe a recording into English", **DOCUMENTED)
async def translations(request: Request, context: Context, caller: Caller) -> Response:
    """At most 25 MB; otherwise as transcriptions."""
    if wants_async(request.headers):
        return await create_job(request, context, caller, task="translation")
    return await _heard(request, context, caller, "translation")


async def _transcriptions(request: Request) -> Response:
    return await transcriptions(request, await context_of(request), await principal_of(request))


async def _translations(request: Request) -> Response:
    return await translations(request, await context_of(request), await principal_of(request))


# See api/http/fast_path.py.
FAST_PATHS = {"/v1/audio/transcriptions": _transcriptions, "/v1/audio/translations": _translations}


async def _heard(request: Request, context: AppContext, caller: Principal, task: Task) -> Response:
    sound, fields = await _read(request)
    options = fields.options(task)
    if task == "translation" and (unused := fields.unused_in_translations()):
        ignore(request, unused)
    catalog, model = context.services.catalog, context.services.catalog.model(options.model)
    announce_shutdown(request, model)
    catalog.routes_for(options)
    catalog.check_format_of(options)
    model.limits.check_file(len(sound))
    streamed = bool(fields.stream) and task == "transcription"
    work = _Transcription(request, context, caller, sound, options, streamed=streamed)
    run = _runner(context, sound, options)
    hearing: Hearing = BackgroundWork(lambda disconnect, hand_out: run(partial(work.do, disconnect, hand_out)))
    answer = Answer(request, hearing, options, work.headers_so_far)
    return await (answer.as_events(work.handed_out) if streamed else answer.as_body())


class _Transcription:
    """One recording's way to its transcript, and what of it has been paid and handed out."""

    def __init__(
        self,
        request: Request,
        context: AppContext,
        caller: Principal,
        sound: bytes,
        options: TranscriptionOptions,
        *,
        streamed: bool,
    ) -> None:
        self._request, self._context, self._caller = request, context, caller
        self._sound, self._options, self._streamed = sound, options, streamed
        self._bill = Bill.of(request, context.services, caller, options)
        self._longest = context.services.catalog.model(options.model).limits.seconds(
            context.services.settings.max_audio_seconds
        )
        if not options.apart:  # how many channels and tracks there are, nobody knows yet
            self._bill.whole_ms = 1000 * self._longest
        self._watch = RouteWatch()
        self.handed_out = HandedOut()
        request.state.cost = 0 if self._bill.is_free else None  # until it is settled
        request.state.tokens = None

    def do(self, disconnect: ClientDisconnect, hand_out: HandOut) -> Transcript:
        """Where blocking is allowed."""
        disconnect.check()  # it may have waited for its turn
        with (
            self._bill,
            self._bill.paying_for(self.handed_out, lambda: disconnect.gone),
            stopped_by(disconnect.check),
            self._watch,
        ):
            transcript = self._transcribed(disconnect, hand_out)
            self._bill.settle_heard(transcript)
        self._request.state.tokens = self._bill.tokens
        self._request.state.cost = self._bill.micro
        if transcript.incomplete:
            log.warning("sound is missing for good: %s", loss(transcript))
        return transcript

    async def headers_so_far(self, model: str = "") -> dict[str, str]:
        """Of an answer that begins before its end is known: `model` has heard most by now, else who is being asked tells."""
        catalog, most = self._context.services.catalog, None
        with suppress(StenopoolError):  # then nobody promises anything
            most = None if self._bill.is_free else await self._context.query(self._bill.promise)
        asked = self._watch.model or catalog.routes_for(self._options)[0].model
        return perf_headers(self._request, model or asked, most=most)

    def _transcribed(self, disconnect: ClientDisconnect, hand_out: HandOut) -> Transcript:
        services = self._context.services
        return passthrough.transcribe(
            self._sound,
            self._options,
            services.registry,
            on_progress=partial(self._progress, disconnect),
            on_segments=partial(self._ready, hand_out) if self._streamed else None,
            on_length=self._bill.expect,
            on_whole=None if self._options.apart else self._whole,
            workers=WORKERS,
            max_seconds=self._longest,
        )

    def _whole(self, ms: int) -> None:
        self._bill.whole_ms = ms

    def _ready(self, hand_out: HandOut, segments: Sequence[Segment], model: str) -> None:
        self.handed_out.ready((segments, model))
        hand_out((segments, model))

    def _progress(self, disconnect: ClientDisconnect, ms: int, decoded_ms: int) -> None:
        self.handed_out.heard(ms)
        disconnect.check()
        if ms < decoded_ms:  # more is to come
            self._context.services.accounts.want_running(self._caller.key_id)


def _runner(
    context: AppContext, sound: bytes, options: TranscriptionOptions
) -> Callable[[Callable[[], Transcript]], Awaitable[Transcript]]:
    """Where the work is done: on the loop where it only waits, among few where this machine hears, else among many."""
    registry = context.services.registry
    if context.services.database.is_prompt and passthrough.runs_in_greenlet(sound, options, registry):
        return context.run_in_greenlet
    return context.hear if is_local(options, registry) else context.work


async def _read(request: Request) -> tuple[bytes, TranscriptionFields]:
    sink = MemorySink(announced_bytes(request), holder(request))
    with size_first(request, SYNC_LIMIT, TOO_LARGE):
        form = await read_form(request, sink)
    missing = () if form.filename is not None else ("file",)
    fields = validated(TranscriptionFields, form.fields, missing=missing)
    if missing:
        raise InvalidRequest("The form has no 'file'.", param="file")
    return sink.take(), fields
