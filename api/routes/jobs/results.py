"""What came out of a job: its transcript, its segments so far, its sound, its timeline."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, Field

from api.dependencies import JOBS, AppContext, Caller, Context
from api.http.sse import EVENT_STREAM, KEEPALIVE, KEEPALIVE_SECONDS, STREAM_HEADERS, Stream, event
from api.jobs.kept_sound import sound_of
from api.jobs.peaks import PeakQuery, drawn
from api.jobs.results import (
    CaptionQuery,
    found,
    handed_out,
    numbered,
    rendered,
    so_far,
)
from api.jobs.stored_text import REVISION, finished, revision_of
from api.openapi.document import answers, shown_as
from api.schemas.pagination import page
from infra.database.tables.jobs import JobEvent
from infra.jobs.create_and_read import JobMark
from infra.requests.job_object import event_object, standing_of, terminal
from infra.requests.number_bounds import GREATEST, EventId
from pipeline.errors import NotFound
from pipeline.transcript import Segment

router = APIRouter(prefix=JOBS + "/{job_id}", tags=["job results"])

EVENTS_AT_ONCE = 1000
COME_BACK = b"retry: 2000\n\n"  # milliseconds after which a follower whose connection broke asks again
NO_JOB = answers(s404="No such job.")


@dataclass(frozen=True)
class News:
    """What follows the events already known: more of them, the job's version, and where it stands unless it has ended."""

    events: list[JobEvent]
    version: int
    standing: dict[str, Any] | None


class SoundQuery(BaseModel):
    """Which of them."""

    playable: bool = Field(
        default=False, description="As browsers play it: the small copy where there is one, else as it was sent."
    )


class SegmentQuery(BaseModel):
    """Which segments."""

    limit: int = Field(100, ge=1, le=1000)
    after: int = Field(-1, ge=-1, le=GREATEST, description="The id of the last segment already known.")
    q: str | None = Field(None, max_length=500, description="Only segments in which these words are said.")
    revision: str | None = Field(
        None, pattern=REVISION, description="As corrected: a revision's number, or `latest`. Of a finished job."
    )


class EventQuery(BaseModel):
    """Which lines of the timeline, and how."""

    after: EventId | None = Field(None, description="The id of the last event already known.")
    limit: int = Field(EVENTS_AT_ONCE, ge=1, le=EVENTS_AT_ONCE)
    stream: bool = False


@router.get(
    "/transcript",
    summary="The transcript",
    responses=shown_as("text/plain", "application/json")
    | NO_JOB
    | answers(s409="The job is not completed.", s410="Its results have been deleted."),
)
async def transcript(
    request: Request, context: Context, caller: Caller, job_id: str, query: Annotated[CaptionQuery, Query()]
) -> Response:
    """Rendered at read time, in any format, whatever was asked for when the job was made.

    Without `revision` it is the original, whatever was corrected since: `x-transcript-revision` is 0. With one, JSON bodies have
    it as `revision`, WebVTT and TTML as a note, and the file's name ends in `.rN`.
    """
    job = await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    return await rendered(request, context, finished(job), query)


@router.get(
    "/audio",
    summary="The sound",
    responses=shown_as("audio/*")
    | NO_JOB
    | answers(
        s409="The job is not completed.",
        s410="Its results, or its recording, have been deleted.",
        s416="The range begins behind its end.",
    ),
)
async def audio(
    request: Request, context: Context, caller: Caller, job_id: str, query: Annotated[SoundQuery, Query()]
) -> Response:
    """Of a speech job what it has made: one file in the format that was asked for; `/transcript?format=srt` tells what is said
    when. Of any other the recording as it was sent, while it is kept; with `playable` a copy of it, where browsers do not play it
    as it is: Ogg Opus, mono, on the recording's clock. `Range` is honoured."""
    job = await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    return await sound_of(request, context, job, playable=query.playable)


@router.get(
    "/peaks",
    summary="How loud it is, for a player to draw",
    responses=answers(
        s404="No such job, or nothing of it was decoded.",
        s409="The sound has not been decoded to its end yet.",
        s410="Its results have been deleted.",
    ),
)
async def peaks(context: Context, caller: Caller, job_id: str, query: Annotated[PeakQuery, Query()]) -> Response:
    """The lowest and the highest sample of each stretch of the recording's clock, or of a speech job's sound: `data` has them in
    turn, in 16 bits. The members are those of audiowaveform's JSON, with `duration` in seconds; holes are flat. Made while the
    sound was decoded, and kept as long as the results."""
    job = await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    return await drawn(context, job, query)


@router.get(
    "/segments",
    summary="The segments, those ready so far while it runs",
    responses=NO_JOB | answers(s402="The job has failed, and this text has not been paid for."),
)
async def segments(
    context: Context, caller: Caller, job_id: str, query: Annotated[SegmentQuery, Query()]
) -> dict[str, Any]:
    """In order, without holes: what is listed once does not change place. `complete` says that nothing will follow.

    With `q`, each segment has its `matches`: where those words begin and end, whatever their case, accents and punctuation.

    What is listed is paid, also when the job fails later. Text of a failed job that was not listed before is paid first: see
    `POST …/pay`.
    """
    job = await context.query(partial(context.services.jobs.get, caller.account_id, job_id))
    ready, complete = await so_far(context, job, await revision_of(context, job, query.revision))
    shown = await _chosen(context, caller.account_id, ready.segments, query)
    leaving = await handed_out(context, job, ready, [one["id"] for one in shown[: query.limit]])
    more = len(leaving) < len(shown)
    return {**page(shown[: len(leaving)], has_more=more), "complete": complete and not more, "status": job.status}


async def _chosen(
    context: AppContext, account_id: str, ready: Sequence[Segment], query: SegmentQuery
) -> list[dict[str, Any]]:
    """A page of them, and one more where there is one."""
    first, limit = query.after + 1, query.limit + 1
    if query.q is None:
        return numbered(ready[first : first + limit], first=first)
    matching = await context.renderings.in_turn(account_id, partial(found, ready, query.q))
    return [one for one in matching if one["id"] >= first][:limit]


@router.get(
    "/events",
    summary="The timeline",
    responses=shown_as("application/json", EVENT_STREAM) | NO_JOB,
)
async def events(
    request: Request,
    context: Context,
    caller: Caller,
    job_id: str,
    query: Annotated[EventQuery, Query()],
    *,
    last_event_id: Annotated[EventId, Header(description="When following: the last event already known.")] = 0,
) -> Any:
    """As JSON; or, with `Accept: text/event-stream` or `stream=true`, replayed and then followed to the job's end, or until it is
    deleted. The stream has `progress` besides, which is no line of the timeline: `status`, `queue`, `progress` and `waiting` of
    the job, whenever they change."""
    account_id, after, limit = caller.account_id, query.after, query.limit
    if query.stream or EVENT_STREAM in request.headers.get("accept", ""):
        known = last_event_id if after is None else after
        first = await context.query(partial(_news, context, account_id, job_id, known))
        request.state.slot.give_back()
        source = _followed(context, account_id, job_id, known, first)
        return Stream(source, media_type=EVENT_STREAM, headers=STREAM_HEADERS)
    found = await context.query(partial(context.services.jobs.events, account_id, job_id, after or 0, limit + 1))
    return page([event_object(one) for one in found[:limit]], has_more=len(found) > limit)


async def _followed(
    context: AppContext, account_id: str, job_id: str, after: int, news: News
) -> AsyncGenerator[bytes, None]:
    """Every event once, in order, from `news` on, until the job has ended and its last event is out. Holds no slot."""
    spoke_at, woken, told = time.monotonic(), False, None
    yield COME_BACK
    while True:
        for one in news.events:
            yield event(event_object(one), name=one.type, number=one.id)
        if (said := _said(news.standing)) != told and news.standing is not None:
            told = said
            yield event({"object": "audio.job.progress", "id": job_id, **news.standing}, name="progress")
        if news.events:
            after, spoke_at = news.events[-1].id or after, time.monotonic()
        if context.shutting_down or (news.standing is None and len(news.events) < EVENTS_AT_ONCE):
            return
        if time.monotonic() - spoke_at >= KEEPALIVE_SECONDS:
            spoke_at = time.monotonic()
            yield KEEPALIVE
        if not news.events:
            left = max(0.0, spoke_at + KEEPALIVE_SECONDS - time.monotonic())
            woken = await context.watcher.until(job_id, partial(_has_moved, news.version), left)
        look = partial(context.look, partial(_news, context, account_id, job_id, after))
        try:
            news = await (context.watcher.shared((job_id, after), look) if woken else look())
        except NotFound:  # deleted: whoever asks again is told so
            return


def _said(standing: dict[str, Any] | None) -> tuple[Any, ...] | None:
    """By what one sees that there is something new to say; the time that is left alone is nothing new."""
    if standing is None:
        return None
    ahead = (standing["queue"] or {}).get("ahead_audio_seconds")
    return (
        standing["status"],
        standing["progress"]["stage"],
        standing["progress"]["percent"],
        ahead,
        standing["waiting"],
    )


def _has_moved(version: int, mark: JobMark | None) -> bool:
    return mark is None or mark.version != version


def _news(context: AppContext, account_id: str, job_id: str, after: int) -> News:
    """What follows `after`. The job is read before its events: what ends it is committed together with its last event. Raises
    NotFound."""
    jobs = context.services.jobs
    job = jobs.get(account_id, job_id)
    place = None if terminal(job) else jobs.places(account_id, [job]).get(job_id)
    standing = None if terminal(job) else standing_of(job, now=time.time(), place=place)
    return News(jobs.events(account_id, job_id, after, EVENTS_AT_ONCE), job.version, standing)
