"""What a batch has brought, line by line, in OpenAI's shapes: answers for the output file, failures for the error file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from infra.batches.line_store import DONE, LEFT
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.jobs import Job
from infra.money.job_money import job_usage
from infra.requests.job_object import job_object
from infra.requests.usage_object import transcript_usage
from infra.storage import ObjectStore
from pipeline import formats
from pipeline.errors import (
    Forbidden,
    InputMissing,
    InsufficientBalance,
    InvalidRequest,
    NotFound,
    RateLimited,
    ResultLost,
    StenopoolError,
)
from pipeline.formats.base import RenderOptions
from pipeline.money import usd
from pipeline.transcript import transcript_from_json

JSON = "application/json"
_FAULT = 500
_STATUS: Mapping[type[StenopoolError], int] = {
    InvalidRequest: 400,
    InsufficientBalance: 402,
    Forbidden: 403,
    NotFound: 404,
    InputMissing: 410,
    RateLimited: 429,
}
_LEFT = {
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request was executed."),
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
}


def output_line(batch: Batch, line: BatchLine, job: Job | None, storage: ObjectStore) -> tuple[bool, bytes]:
    """(whether it is an answer, the line with its end). Raises StorageUnavailable."""
    error: dict[str, Any] | None = line.error
    if line.state == DONE and job is not None:
        try:
            return True, _line(batch, line, {"status_code": 200, "body": _body(batch, job, storage)}, job)
        except InputMissing:
            error = ResultLost().as_dict()
    if line.state == LEFT:
        code, message = _LEFT.get(batch.ending or "", _LEFT["cancelled"])
        return False, _line(batch, line, None, job, {"code": code, "message": message})
    told = error or {}
    code = str(told.get("code", "internal_error"))
    shown = {"message": told.get("message", ""), "type": _type(code), "param": told.get("param"), "code": code}
    return False, _line(batch, line, {"status_code": _status(code), "body": {"error": shown}}, job)


def _line(
    batch: Batch, line: BatchLine, response: dict[str, Any] | None, job: Job | None, error: dict[str, Any] | None = None
) -> bytes:
    if response is not None:
        status_code, body = response["status_code"], response["body"]
        response = {"status_code": status_code, "request_id": job.id if job else batch.request_id, "body": body}
    name = f"batch_req_{batch.id.partition('_')[2]}_{line.n}"
    whole = {"id": name, "custom_id": line.custom_id, "response": response, "error": error}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _body(batch: Batch, job: Job, storage: ObjectStore) -> Any:
    """What the endpoint would have answered; text, srt and vtt as a string; of speech and of jobs the job itself."""
    if job.task == "speech" or batch.endpoint == "/v1/audio/jobs":
        return job_object(job, now=time.time())
    if job.result_key is None:
        raise InputMissing
    transcript = replace(transcript_from_json(storage.get(job.result_key)), decoded=job_usage(job).audio_ms)
    shape = formats.load(job.request.get("response_format") or "json")
    granularities = tuple(job.request.get("timestamp_granularities") or ("segment",))
    extra: dict[str, Any] = {"perf": _perf(job)}
    if job.task == "transcription":
        extra = {"usage": transcript_usage(transcript, shape.name), **extra}
    body = shape.render(transcript, RenderOptions(granularities=granularities, extra=extra))
    return json.loads(body) if shape.media_type == JSON else body


def _perf(job: Job) -> dict[str, Any]:
    return {
        "request_id": job.id,
        "model_used": job.model_used or "",
        "audio_duration_seconds": job_usage(job).audio_ms / 1000,
        "cost_usd": usd(job.captured_micro),
    }


def _kinds(kind: type[StenopoolError] = StenopoolError) -> Iterator[type[StenopoolError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


def _status(code: str) -> int:
    """As the synchronous endpoint would have answered, by and large."""
    kind = next((kind for kind in _kinds() if kind.code == code), StenopoolError)
    return next((status for wide, status in _STATUS.items() if issubclass(kind, wide)), _FAULT)


def _type(code: str) -> str:
    return "invalid_request" if _status(code) < _FAULT else "server_error"
