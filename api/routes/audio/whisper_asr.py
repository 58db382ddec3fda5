"""The interface of whisper-asr-webservice, which Bazarr's Whisper provider speaks: a film goes in, its subtitles come out.

The recording is streamed to storage, and a job hears it while the connection is held.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.compatibility.whisper_asr import columns, lines, whisper_json
from api.dependencies import AppContext, Caller, Context
from api.http.perf_metadata import job_headers
from api.jobs.attended import completed
from api.jobs.results import CaptionQuery, rendered
from api.jobs.stored_text import transcript_of
from api.jobs.submission import job_over, refuse_unheard
from api.openapi.document import answers, shown_as, takes
from api.uploads.form import read_form
from api.uploads.sinks import KeptSink, StorageSink, announced_bytes, beyond, size_first
from infra.database.tables.jobs import Job
from infra.keys.accounts import Principal
from pipeline.errors import InvalidRequest
from pipeline.text.languages import NAMES, language_code
from pipeline.transcript import Transcript

router = APIRouter(tags=["whisper-asr"])

FILE = "audio_file"
RAW = {
    "input_format": "s16le",
    "input_sample_rate": "16000",
    "input_channels": "1",
}  # what `encode=false` says of the bytes
LISTENED = 300  # seconds in which the language is found out: a film's first minute is often music
KEPT_SECONDS = 3600  # that the job's results stay: the caller has them
TEXT = "text/plain; charset=utf-8"
REFUSALS = answers(s400="Not audio we take, or a field that is wrong.", s402="The balance does not cover it.")


class _File(BaseModel):
    """Nothing but the file."""


class SourceQuery(BaseModel):
    """What the file is, and who hears it."""

    encode: bool = Field(
        True, description="false: the file is bare samples, signed 16 bit little-endian, mono, 16 kHz."
    )
    model: str = Field("whisper-1", max_length=200, description="Any model that transcribes: an addition of ours.")


class AsrQuery(SourceQuery):
    """How it is to be heard and written."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: str | None = Field(None, description="Of the speech; unset: found out.")
    initial_prompt: str | None = None
    vad_filter: bool = Field(False, description="Taken and ignored: silence is never put to a provider here.")
    word_timestamps: bool = Field(False, description="In json: each segment's words.")
    output: Literal["txt", "vtt", "srt", "tsv", "json"] = "txt"


@router.post(
    "/asr",
    summary="Subtitles of a film, as whisper-asr-webservice has it",
    responses=shown_as("text/plain") | REFUSALS,
    openapi_extra=takes(form=_File, file=FILE),
)
async def asr(request: Request, context: Context, caller: Caller, query: Annotated[AsrQuery, Query()]) -> Response:
    """Of any length up to a job's. The key may come as the password of HTTP Basic, with any user. Whoever hangs up ends the
    work; what was heard by then is paid."""
    given = {
        "task": "transcription" if query.task == "transcribe" else "translation",
        "language": query.language,
        "prompt": query.initial_prompt,
    }
    job, filename = await _heard(request, context, caller, query, given)
    headers = {
        "content-disposition": f'attachment; filename="{quote(filename)}.{query.output}"',
        "asr-engine": "stenopool",
        **job_headers(request, job),
    }
    if query.output in ("srt", "vtt"):
        shown = await rendered(request, context, job, CaptionQuery(format=query.output))
        return Response(shown.body, media_type=TEXT, headers=headers)
    written = partial(_written, await transcript_of(context, job), query)
    return Response(await context.renderings.in_turn(job.account_id, written), media_type=TEXT, headers=headers)


@router.post(
    "/detect-language",
    summary="Which language is spoken, as whisper-asr-webservice has it",
    responses=REFUSALS,
    openapi_extra=takes(form=_File, file=FILE),
)
async def detect_language(
    request: Request, context: Context, caller: Caller, query: Annotated[SourceQuery, Query()]
) -> dict[str, Any]:
    """By the first 300 seconds at most, which are heard and paid. `confidence` is null: nobody measures it."""
    job, _ = await _heard(request, context, caller, query, {"range": {"start": 0, "end": LISTENED}})
    code = language_code((await transcript_of(context, job)).language or "")
    if code is None:
        told = f"Nobody speaks within the first {LISTENED} seconds, so there is no language to tell. Send `language` to /asr."
        raise InvalidRequest(told, param=FILE)
    return {"detected_language": NAMES.get(code, code), "language_code": code, "confidence": None}


async def _heard(
    request: Request, context: AppContext, caller: Principal, query: SourceQuery, given: dict[str, Any]
) -> tuple[Job, str]:
    """The job that has heard it, and what the file was called."""
    settings, limit = context.services.settings, context.services.settings.max_upload_bytes
    kind = StorageSink if query.encode else KeptSink
    sink = kind(context, caller, limit=limit, announced=announced_bytes(request))
    wanted = {name: value for name, value in given.items() if value is not None} | {"model": query.model}
    refuse_unheard(context, wanted)
    with size_first(request, limit, beyond(limit)):
        form = await read_form(request, sink, file_field=FILE)
    if form.filename is None:
        raise InvalidRequest(f"Send the recording as the multipart field `{FILE}`.", param=FILE)
    kept = min(KEPT_SECONDS, settings.retention_seconds)
    fields = wanted | ({} if query.encode else RAW) | {"retention_seconds": kept}
    job = await job_over(request, context, caller, fields, sink)
    return await completed(request, context, job), form.filename


def _written(transcript: Transcript, query: AsrQuery) -> bytes:
    if query.output == "json":
        return whisper_json(transcript, words=query.word_timestamps).encode()
    return (columns if query.output == "tsv" else lines)(transcript).encode()
