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
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from fastapi import Request, Response

from api.compatibility.groq import x_groq
from api.http.error_responses import content_of
from api.http.perf_metadata import omission_headers, perf, perf_headers
from api.http.sse import EVENT_STREAM, KEEPALIVE, KEEPALIVE_SECONDS, STREAM_HEADERS, Stream, event
from api.http.unknown_names import ignored
from api.sync.background_work import BackgroundWork
from api.sync.handed_out import HandedOut, Told
from api.sync.transcript_events import Event, TranscriptEvents
from infra.requests.usage_object import transcript_usage
from pipeline import formats
from pipeline.errors import StenopoolError
from pipeline.formats.base import RenderOptions
from pipeline.options import TranscriptionOptions
from pipeline.transcript import Transcript

Hearing = BackgroundWork[Transcript, Told]
Headers = dict[str, str]
# Seconds, less than proxies have; a provider that hangs over a short recording is given up before that.
JSON_PATIENCE = 45.0
STREAM_PATIENCE = 10.0  # seconds in which a stream's failure can still be told by a status
JSON = "application/json"
SPACE = b" "


class Answer:
    """One request's. `so_far(model)` are the headers of an answer that begins before its end is known."""

    def __init__(
        self,
        request: Request,
        hearing: Hearing,
        options: TranscriptionOptions,
        so_far: Callable[[str], Awaitable[Headers]],
    ) -> None:
        self._request, self._hearing, self._options = request, hearing, options
        self._so_far = so_far

    async def as_body(self) -> Response:
        """The transcript in the format that was asked for. Raises what the work raises, while there is a status to tell it."""
        shape = formats.load(self._options.response_format)
        patience = JSON_PATIENCE if shape.media_type == JSON else None
        if not await self._hearing.watched(self._request.receive, seconds=patience):
            headers = await self._early("") | STREAM_HEADERS
            return Stream(self._spaced(), media_type=JSON, headers=headers)
        transcript = self._hearing.result()
        headers = perf_headers(self._request, transcript.model_used) | omission_headers(transcript)
        return Response(self._written(transcript), media_type=shape.media_type, headers=headers)

    async def as_events(self, handed_out: HandedOut) -> Response:
        """Deltas as chunks are heard. What fails before the first is told by a status, later by an error event.

        `handed_out` learns what leaves.
        """
        first = list[Told]()
        if await self._hearing.watched(self._request.receive, seconds=STREAM_PATIENCE):
            first = self._hearing.take()
        headers = await self._head(first) | STREAM_HEADERS
        return Stream(self._events(first, handed_out), media_type=EVENT_STREAM, headers=headers)

    async def _head(self, first: Sequence[Told]) -> Headers:
        """Raises what the work raises, unless some of it is ready to be handed out, which is then paid."""
        if self._hearing.succeeded or (self._hearing.ended and not first):
            return perf_headers(self._request, self._hearing.result().model_used)
        return await self._early(first[-1][1] if first else "")

    async def _early(self, model: str) -> Headers:
        """Whoever is to have an answer leaves the work alone no longer than that lasts."""
        try:
            return await self._so_far(model)
        except BaseException:
            self._hearing.leave()
            raise

    def _written(self, transcript: Transcript) -> bytes:
        request, options = self._request, self._options
        told = perf(request, transcript.model_used, transcript.audio_ms)
        extra: dict[str, Any] = {**ignored(request), "perf": told, **x_groq(request)}
        if options.task == "transcription":
            used = transcript_usage(transcript, options.response_format, request.state.tokens)
            extra = {"usage": used, **extra}
        how = RenderOptions(granularities=options.timestamp_granularities, extra=extra)
        return formats.load(options.response_format).render(transcript, how).encode()

    async def _spaced(self) -> AsyncGenerator[bytes, None]:
        try:
            yield SPACE
            while not await self._hearing.news(seconds=KEEPALIVE_SECONDS):
                yield SPACE
            try:
                transcript = self._hearing.result()
            except Exception as error:
                yield json.dumps(content_of(error), ensure_ascii=False).encode()
                raise  # an answer that breaks off
            yield self._written(transcript)
        finally:
            self._hearing.leave()

    async def _events(self, first: Sequence[Told], handed_out: HandedOut) -> AsyncGenerator[bytes, None]:
        """The deltas, put together, are the text of the last event. Always at least that one, or an error."""
        written, ended, fresh = TranscriptEvents(self._options), False, first
        try:
            while True:
                for segments, _ in fresh:
                    handed_out.leaves()
                    for told in written.segments(segments):
                        yield event(told)
                if ended:
                    break
                while not await self._hearing.news(seconds=KEEPALIVE_SECONDS):
                    yield KEEPALIVE
                ended = self._hearing.ended
                fresh = self._hearing.take()
            try:
                last = list(self._last(written))
            except Exception as error:
                yield event(content_of(error))
                if isinstance(error, StenopoolError):
                    return
                raise  # to be logged
            for told in last:
                yield event(told)
        finally:
            self._hearing.leave()

    def _last(self, written: TranscriptEvents) -> Iterator[Event]:
        """Raises what the work raises."""
        transcript = self._hearing.result()
        end = written.end(transcript, self._request.state.tokens)
        yield from written.late(transcript)
        told = perf(self._request, transcript.model_used, transcript.audio_ms)
        yield {**end, **ignored(self._request), "perf": told}
