"""Three ways to answer a synchronous transcription: at once, as JSON that takes its time, as events.

An answer with a status and a length is the best one. But Node gives up after 300 s without headers, and proxies earlier
(contract.md section 6), so JSON that is not there after `JSON_PATIENCE` begins without it: 200, the headers, then a
space every so often, which every JSON parser skips. A failure after that can have no status any more. The body then ends
with the usual error object, for people to read, and the connection is cut inside the body: a whole body of status 200
would be taken by SDKs for a transcript without text; this way they raise a connection error.

text, srt and vtt know no byte that means nothing. They come when they are there; who waits for long takes JSON, a stream
or a job.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import Request, Response

from api.compatibility.groq import x_groq
from api.http.error_responses import content_of
from api.http.perf_metadata import omission_headers, perf, perf_headers
from api.http.sse import EVENT_STREAM, KEEPALIVE, KEEPALIVE_SECONDS, STREAM_HEADERS, Stream, event
from api.sync.background_work import BackgroundWork
from api.sync.handed_out import HandedOut, Told
from api.sync.transcript_events import TranscriptEvents
from infra.requests.usage_object import transcript_usage
from pipeline import formats
from pipeline.errors import StenopoolError
from pipeline.formats.base import RenderOptions
from pipeline.options import TranscriptionOptions
from pipeline.transcript import Transcript

Hearing = BackgroundWork[Transcript, Told]
# Seconds, less than proxies have; a provider that hangs over a short recording is given up before that.
JSON_PATIENCE = 45.0
STREAM_PATIENCE = 10.0  # seconds in which a stream's failure can still be told by a status
JSON = "application/json"
SPACE = b" "


async def as_body(request: Request, hearing: Hearing, options: TranscriptionOptions) -> Response:
    """The transcript in the format that was asked for. Raises what the work raises, while there is a status to tell it."""
    shape = formats.load(options.response_format)
    patience = JSON_PATIENCE if shape.media_type == JSON else None
    if not await hearing.watched(request.receive, seconds=patience):
        return Stream(_spaced(request, hearing, options), media_type=JSON, headers=STREAM_HEADERS)
    transcript = hearing.result()
    headers = perf_headers(request, transcript.model_used) | omission_headers(transcript)
    return Response(_written(request, transcript, options), media_type=shape.media_type, headers=headers)


async def as_events(
    request: Request, hearing: Hearing, options: TranscriptionOptions, handed_out: HandedOut
) -> Response:
    """Deltas as chunks are heard. What fails before the first is told by a status, later by an error event.

    `handed_out` learns what leaves.
    """
    headers, first = STREAM_HEADERS, list[Told]()
    if await hearing.watched(request.receive, seconds=STREAM_PATIENCE):
        first = hearing.take()
        if hearing.ended:
            headers = headers | perf_headers(request, hearing.result().model_used)
        elif first:
            headers = headers | perf_headers(request, first[-1][1])
    return Stream(_events(request, hearing, options, first, handed_out), media_type=EVENT_STREAM, headers=headers)


def _written(request: Request, transcript: Transcript, options: TranscriptionOptions) -> bytes:
    extra: dict[str, Any] = {"perf": perf(request, transcript.model_used, transcript.audio_ms), **x_groq(request)}
    if options.task == "transcription":
        extra = {"usage": transcript_usage(transcript, options.response_format), **extra}
    how = RenderOptions(granularities=options.timestamp_granularities, extra=extra)
    return formats.load(options.response_format).render(transcript, how).encode()


async def _spaced(request: Request, hearing: Hearing, options: TranscriptionOptions) -> AsyncGenerator[bytes, None]:
    try:
        yield SPACE
        while not await hearing.news(seconds=KEEPALIVE_SECONDS):
            yield SPACE
        try:
            transcript = hearing.result()
        except Exception as error:
            yield json.dumps(content_of(error), ensure_ascii=False).encode()
            raise  # an answer that breaks off
        yield _written(request, transcript, options)
    finally:
        hearing.leave()


async def _events(
    request: Request,
    hearing: Hearing,
    options: TranscriptionOptions,
    first: Sequence[Told],
    handed_out: HandedOut,
) -> AsyncGenerator[bytes, None]:
    """The deltas, put together, are the text of the last event. Always at least that one, or an error."""
    written, ended = TranscriptEvents(options), False
    try:
        for segments, _ in first:
            handed_out.leaves()
            for told in written.segments(segments):
                yield event(told)
        while not ended:
            if not await hearing.news(seconds=KEEPALIVE_SECONDS):
                yield KEEPALIVE
                continue
            ended = hearing.ended
            for segments, _ in hearing.take():
                handed_out.leaves()
                for told in written.segments(segments):
                    yield event(told)
        try:
            transcript = hearing.result()
            end, late = written.end(transcript), list(written.late(transcript))
        except Exception as error:
            yield event(content_of(error))
            if isinstance(error, StenopoolError):
                return
            raise  # to be logged
        for told in late:
            yield event(told)
        yield event({**end, "perf": perf(request, transcript.model_used, transcript.audio_ms)})
    finally:
        hearing.leave()
