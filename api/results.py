"""A job's text, whole or as far as it is known, read back from storage."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Response
from pydantic import Field

from api.deps import Desk
from api.schemas.job_object import terminal
from api.schemas.options import Lenient, Many
from infra.database.tables import Chunk, Job
from pipeline import formats
from pipeline.cut import span_from_dict
from pipeline.errors import Expired, InputMissing, WrongState
from pipeline.formats.base import RenderOptions
from pipeline.lifecycle import ACTIONS, ChunkStatus
from pipeline.options import Granularity
from pipeline.stitch import Stitcher
from pipeline.transcript import (
    Gap,
    Heard,
    Segment,
    Transcript,
    heard_from_json,
    samples_to_ms,
    transcript_from_json,
)

WHAT_GOES = "The job's results have been deleted."


class CaptionQuery(Lenient):
    """How a transcript is to be written; unset: as the job's request said."""

    format: str | None = Field(None, description="json, text, srt, verbose_json, vtt")
    timestamp_granularities: Annotated[list[Granularity] | None, Many()] = Field(
        None, description="`segment`, `word` or both, for verbose_json."
    )
    max_line_chars: int | None = Field(None, ge=10, le=250, description="Columns of a caption's line; 42.")
    max_lines: int | None = Field(None, ge=1, le=8, description="Lines of a caption; 2.")
    min_cue: int | None = Field(None, ge=0, le=10_000, description="Shortest caption in ms; 833.")
    max_cue: int | None = Field(None, ge=1000, le=60_000, description="Longest caption in ms; 7000.")
    min_gap: int | None = Field(None, ge=0, le=5000, description="Gap between captions in ms; 84.")
    chars_per_second: float | None = Field(None, ge=5, le=100, allow_inf_nan=False, description="Reading speed; 20.")

    def layout(self) -> dict[str, Any]:
        """The caption options that were given."""
        return self.model_dump(exclude={"format", "timestamp_granularities"}, exclude_none=True)


def finished(job: Job) -> Job:
    """Raises WrongState unless the job is completed, Expired when its results are deleted."""
    if job.purged_at is not None:
        raise Expired(WHAT_GOES)
    if job.status not in ACTIONS["transcript"]:
        raise WrongState(
            "The transcript is there once the job is completed.",
            current_status=job.status,
            allowed_statuses=sorted(ACTIONS["transcript"]),
        )
    return job


async def transcript_of(desk: Desk, job: Job) -> Transcript:
    """Raises Expired when its object is gone, StorageUnavailable."""
    assert job.result_key is not None
    try:
        content = await desk.move(partial(desk.services.storage.get, job.result_key))
    except InputMissing as error:
        raise Expired(WHAT_GOES) from error
    return transcript_from_json(content)


def rendered(job: Job, transcript: Transcript, query: CaptionQuery) -> Response:
    """The transcript in the format asked for now, else in the one asked for then. Raises UnsupportedValue."""
    name = query.format or job.request.get("response_format") or "json"
    wanted = query.timestamp_granularities or job.request.get("timestamp_granularities") or ("segment",)
    shape = formats.load(name)
    used = {"usage": {"type": "duration", "seconds": transcript.duration / 1000}}
    body = shape.render(transcript, RenderOptions(granularities=tuple(wanted), extra=used, **query.layout()))
    headers = {
        "content-disposition": f'inline; filename="{job.id}.{shape.extension.removeprefix(".")}"',
        "x-perf-model-used": transcript.model_used,
        "x-perf-cost-usd": "0",
    }
    return Response(body, media_type=shape.media_type, headers=headers)


async def so_far(desk: Desk, job: Job) -> tuple[list[dict[str, Any]], bool]:
    """The segments that are certain by now, and whether they are all there will be."""
    if job.purged_at is not None:
        raise Expired(WHAT_GOES)
    if job.result_key is not None and job.status in ACTIONS["transcript"]:
        whole = await transcript_of(desk, job)
        return _numbered(whole.segments), True
    return _numbered(await desk.move(partial(_stitched, desk, job.id))), terminal(job)


def _stitched(desk: Desk, job_id: str) -> tuple[Segment, ...]:
    """The finished chunks up to the first unfinished one."""
    stitcher = Stitcher()
    for row in desk.services.jobs.chunks(job_id):
        part = _part(desk, row)
        if part is None:
            break
        stitcher.add(span_from_dict(row.span), part)
    return stitcher.settled


def _part(desk: Desk, row: Chunk) -> Heard | Gap | None:
    if row.status == ChunkStatus.FAILED:
        span = span_from_dict(row.span)
        code = str((row.error or {}).get("code", "internal_error"))
        return Gap(samples_to_ms(span.own_start), samples_to_ms(span.own_end), code, row.idx)
    if row.status != ChunkStatus.COMPLETED:
        return None
    if row.result_key is None:
        return Heard()
    return heard_from_json(desk.services.storage.get(row.result_key))


def _numbered(segments: tuple[Segment, ...]) -> list[dict[str, Any]]:
    """Times in seconds, as everywhere in the API."""
    return [
        {
            "id": number,
            "object": "audio.segment",
            "start": segment.start / 1000,
            "end": segment.end / 1000,
            "text": segment.text.strip(),
            "words": [
                {"word": word.text, "start": word.start / 1000, "end": word.end / 1000, "confidence": word.confidence}
                for word in segment.words
            ],
            "suspect": list(segment.suspect),
        }
        for number, segment in enumerate(segments)
    ]
