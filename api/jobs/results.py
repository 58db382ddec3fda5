"""A job's text, whole or as far as it is known, read back from storage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field, model_validator

from api.dependencies import AppContext
from api.http.perf_metadata import job_headers, omission_headers
from api.jobs.stored_text import REVISION, WHAT_GOES, revision_of, text_of, transcript_of
from api.live_transcript import SoFar
from api.rendering import Document
from api.stored_object import disposition
from infra.database.tables.jobs import Job, TranscriptRevision
from infra.money.handed_out import is_readable_in_part
from infra.money.job_money import job_usage
from infra.requests.audio_options import Lenient, Many
from infra.requests.job_object import terminal
from infra.requests.usage_object import transcript_usage
from pipeline import formats
from pipeline.captions.options import Layout
from pipeline.errors import Expired, NotFound, ResultLost, UnsupportedValue
from pipeline.formats.base import Format, RenderOptions
from pipeline.lifecycle import ACTIONS, JobStatus
from pipeline.options import Granularity
from pipeline.quality.suspects import Shown, shown
from pipeline.text.edits import without_blanks
from pipeline.text.search import find
from pipeline.transcript import Segment

TELLS_SUSPECTS = ("verbose_json",)  # formats in which a suspect segment says so by itself
SHORT_MS = 120_000  # of sound, whose transcript goes into a list
REVISION_HEADER = "x-transcript-revision"


class CaptionQuery(Lenient):
    """How a transcript is to be written; unset: as the job's request said."""

    format: str | None = Field(None, description=", ".join(formats.names()))
    timestamp_granularities: Annotated[list[Granularity] | None, Many()] = Field(
        None, description="`segment`, `word` or both, for verbose_json."
    )
    max_line_chars: int | None = Field(None, ge=10, le=250, description="Columns of a caption's line; 42.")
    max_lines: int | None = Field(None, ge=1, le=8, description="Lines of a caption; 2.")
    min_cue: int | None = Field(None, ge=0, le=10_000, description="Shortest caption in ms; 833.")
    max_cue: int | None = Field(None, ge=1000, le=60_000, description="Longest caption in ms; 7000.")
    min_gap: int | None = Field(None, ge=0, le=1000, description="Gap between captions in ms; 84.")
    chars_per_second: float | None = Field(None, ge=5, le=100, allow_inf_nan=False, description="Reading speed; 20.")
    paragraphs: bool | None = Field(None, description="true: text in paragraphs, an empty line between.")
    suspect: Shown = Field("keep", description="Text that may be made up: `keep`, `mark` it [? so ?], or `drop` it.")
    revision: str | None = Field(
        None, pattern=REVISION, description="A correction by its number, or `latest`; unset or 0: the original."
    )

    @model_validator(mode="after")
    def _possible(self) -> CaptionQuery:
        usual = Layout()
        shortest = usual.min_cue if self.min_cue is None else self.min_cue
        longest = usual.max_cue if self.max_cue is None else self.max_cue
        if shortest > longest:
            told = f"A caption cannot last at least {shortest} ms and at most {longest} ms."
            raise UnsupportedValue(told, param="min_cue" if self.max_cue is None else "max_cue")
        return self

    def layout(self) -> dict[str, Any]:
        """The caption options that were given."""
        return self.model_dump(exclude={"format", "timestamp_granularities", "suspect", "revision"}, exclude_none=True)


async def rendered(request: Request, context: AppContext, job: Job, query: CaptionQuery) -> Response:
    """The transcript in the format asked for now, else in the one asked for then: written once, however often it is asked for.

    Raises UnsupportedValue, NotFound for a revision that is not there, Expired, ResultLost, StorageUnavailable.
    """
    asked = None if job.task == "speech" else job.request.get("response_format")  # which is the sound's
    shape = formats.load(query.format or asked or "json")
    granularities = tuple(query.timestamp_granularities or job.request.get("timestamp_granularities") or ("segment",))
    row = await revision_of(context, job, query.revision)
    source = row.storage_key if row else job.result_key
    key = (job.id, source, shape.name, granularities, query.model_dump_json(exclude={"format", "revision"}))
    written = partial(_written, context, job, row, shape=shape, granularities=granularities, query=query)
    document = await context.renderings.document(job.account_id, key, written)
    headers = {
        "content-disposition": disposition("inline", _filename(job, row, shape)),
        **revision_headers(row),
        **job_headers(request, job),
        **document.headers,
    }
    return Response(document.body, media_type=shape.media_type, headers=headers)


def revision_headers(row: TranscriptRevision | None) -> dict[str, str]:
    """Which revision it is; the ETag is what a correction names in its `If-Match`."""
    number = row.n if row else 0
    return {REVISION_HEADER: str(number), "etag": f'"{number}"'}


def _filename(job: Job, row: TranscriptRevision | None, shape: Format) -> str:
    """As its recording is called, while that is known."""
    stem = PurePosixPath(job.input.get("filename") or "").stem or job.id
    name = f"{stem}.r{row.n}" if row else stem
    return f"{name}.{shape.extension.removeprefix('.')}"


def _written(
    context: AppContext,
    job: Job,
    row: TranscriptRevision | None,
    *,
    shape: Format,
    granularities: tuple[Granularity, ...],
    query: CaptionQuery,
) -> Document:
    booked = job_usage(job)
    transcript = replace(text_of(context, job, row), decoded=booked.audio_ms)
    used: dict[str, Any] = {}
    if job.task == "transcription":
        used["usage"] = transcript_usage(transcript, shape.name, booked.tokens)
    if row is not None:
        transcript, used["revision"] = without_blanks(transcript), row.n
    if query.suspect == "drop" or shape.name not in TELLS_SUSPECTS:
        transcript = shown(transcript, query.suspect)
    body = shape.render(transcript, RenderOptions(granularities=granularities, extra=used, **query.layout()))
    return Document(body.encode(), omission_headers(transcript))


async def short_transcripts(context: AppContext, account_id: str, jobs: Sequence[Job]) -> dict[str, Any]:
    """By job, what `full_json` has as `transcript`: of those that are completed and short, so that many fit into one answer.

    Raises StorageUnavailable. One whose result has just gone has none.
    """
    short = [job for job in jobs if _is_there(job) and job_usage(job).audio_ms <= SHORT_MS]
    return await context.renderings.in_turn(account_id, partial(_all_written, context, short)) if short else {}


def _is_there(job: Job) -> bool:
    return job.status == JobStatus.COMPLETED and job.task != "speech" and job.purged_at is None


def _all_written(context: AppContext, jobs: Sequence[Job]) -> dict[str, Any]:
    told, shape = dict[str, Any](), formats.load("full_json")
    for job in jobs:
        with suppress(Expired, ResultLost, NotFound):
            document = _written(context, job, None, shape=shape, granularities=("segment",), query=CaptionQuery())
            told[job.id] = json.loads(document.body)["transcript"]
    return told


async def so_far(context: AppContext, job: Job, row: TranscriptRevision | None = None) -> tuple[SoFar, bool]:
    """The segments that are certain by now, and whether they are all there will be; of a finished job those of a revision."""
    if job.purged_at is not None:
        raise Expired(WHAT_GOES)
    if job.result_key is not None and job.status in ACTIONS["transcript"]:
        return SoFar((await transcript_of(context, job, row)).segments), True
    if not is_readable_in_part(job):  # in order only when all is there
        return SoFar(()), terminal(job)
    heard = partial(context.transcript_cache.so_far, context.services, job.id)
    return await context.renderings.in_turn(job.account_id, heard), terminal(job)


async def handed_out(context: AppContext, job: Job, read: SoFar, numbers: Sequence[int]) -> Sequence[int]:
    """Which of these segments may leave now, in order: then they are paid, whatever becomes of the job.

    Of a job that has failed those that were paid before. Raises PaymentRequired where the first one was not, QuotaExceeded.
    """
    if not read.chunks or not numbers or job.status in (JobStatus.CANCELLING, JobStatus.CANCELLED):
        return numbers
    if job.status in ACTIONS["pay"]:
        paid = list(takewhile(lambda number: read.source(number).handed_out, numbers))
        if paid:
            return paid
    fresh = [chunk.idx for chunk in read.sources(numbers) if not chunk.handed_out]
    if fresh:
        await context.query(partial(context.services.jobs.hand_out, job.account_id, job.id, fresh))
    return numbers


def numbered(segments: Sequence[Segment], first: int = 0) -> list[dict[str, Any]]:
    """Segments as the API shows them, the first one's id being `first`; times in seconds, as everywhere."""
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
        | {
            name: value
            for name in ("speaker", "speaker_confidence", "track", "channel")
            if (value := getattr(segment, name)) is not None
        }
        for number, segment in enumerate(segments, start=first)
    ]


def found(segments: Sequence[Segment], query: str) -> list[dict[str, Any]]:
    """The segments in which the query's words are said, as the API shows them, each with its matches."""
    by_segment: dict[int, list[dict[str, Any]]] = {}
    for match in find(segments, query):
        shown_match = {"text": match.text, "start": match.start / 1000, "end": match.end / 1000}
        by_segment.setdefault(match.segment, []).append(shown_match)
    return [{**numbered([segments[at]], first=at)[0], "matches": matches} for at, matches in by_segment.items()]
