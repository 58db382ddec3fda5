"""What was heard of a bulk run's recordings written into its bucket, in every format that is wanted and not there yet.

An object of S3 is there as a whole or not at all, and the same is written again by whoever follows one who died. The transcript
is kept beside the report: another format, later or by another server, is rendered from it and not heard again.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from infra.batches.bulk_plan import BulkPlan, plan_of
from infra.batches.source_store import Line
from infra.buckets.s3_path import S3Path
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.jobs import Job
from infra.media import objects_of
from infra.money.job_money import job_usage
from infra.requests.usage_object import transcript_usage
from infra.storage import Bucket
from infra.wiring import Services
from pipeline import formats
from pipeline.errors import InputMissing, ResultLost, StenopoolError
from pipeline.formats.base import RenderOptions
from pipeline.transcript import Transcript, transcript_from_json, transcript_to_json

WRITERS = 8
AT_ONCE = 64  # recordings in one step


def write_results(services: Services, batch: Batch) -> bool:
    """Those that were heard until now, some at a time. True: there are more. Raises LeaseLost, StorageUnavailable."""
    lines = services.sources.to_write(batch, AT_ONCE)
    if not lines:
        return False
    writer = _Writer(services, batch, plan_of(batch))
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as threads:
        for (line, job), outcome in zip(lines, threads.map(writer.outcome, lines), strict=True):
            _record(services, batch, line, job, outcome)
    return len(lines) == AT_ONCE


@dataclass(frozen=True)
class _Outcome:
    """`outputs` are there now; None: its transcript is lost."""

    outputs: list[dict[str, Any]] | None
    skipped: bool = False


class _Writer:
    def __init__(self, services: Services, batch: Batch, plan: BulkPlan) -> None:
        self._services, self._batch, self._plan = services, batch, plan
        self._bucket_of = partial(services.buckets.open, batch.account_id)

    def outcome(self, one: Line) -> _Outcome:
        """Raises StorageUnavailable, BucketNotAllowed."""
        line, job = one
        there = dict(self._there(line))
        missing = {name: path for name, path in self._places(line).items() if name not in there}
        if missing:
            try:
                transcript = self._transcript(line, job)
            except InputMissing:
                return _Outcome(None)
            for name, path in missing.items():
                there[name] = self._write(line, path, name, transcript)
        others = [one for one in (line.facts or {}).get("outputs") or () if one["format"] not in self._plan.formats]
        return _Outcome([*(there[name] for name in self._plan.formats), *others], skipped=not missing)

    def _places(self, line: BatchLine) -> dict[str, S3Path]:
        return {name: self._plan.place(line.stem or line.custom_id, name) for name in self._plan.formats}

    def _there(self, line: BatchLine) -> Iterator[tuple[str, dict[str, Any]]]:
        """Outputs of an earlier run that still are where they belong."""
        for output in (line.facts or {}).get("outputs") or ():
            path = self._places(line).get(output["format"])
            if path is not None and self._plan.shown(path) == output["path"]:
                found = self._bucket_of(path, "write").head(path.key)
                if found is not None:
                    yield output["format"], output

    def _transcript(self, line: BatchLine, job: Job | None) -> Transcript:
        """The job's, which is kept from now on, or the one that was kept. Raises InputMissing."""
        place = self._plan.report(f"transcripts/{line.fingerprint}.json")
        bucket = self._bucket_of(place, "write")
        if job is not None and job.result_key is not None:
            with suppress(InputMissing):
                heard = transcript_from_json(self._services.storage.get(job.result_key))
                transcript = replace(heard, decoded=job_usage(job).audio_ms)
                _put(bucket, place, transcript_to_json(transcript))
                return transcript
        return transcript_from_json(b"".join(bucket.blocks(place.key)))

    def _write(self, line: BatchLine, path: S3Path, name: str, transcript: Transcript) -> dict[str, Any]:
        options = self._plan.options | ((line.facts or {}).get("asked") or {})
        shape = formats.load(name)
        used = (
            {"usage": transcript_usage(transcript, name)}
            if options.get("task", "transcription") == "transcription"
            else {}
        )
        granularities = tuple(options.get("timestamp_granularities") or ("segment",))
        body = shape.render(transcript, RenderOptions(granularities=granularities, extra=used)).encode()
        sha256 = _put(self._bucket_of(path, "write"), path, body)
        return {"format": name, "path": self._plan.shown(path), "sha256": sha256}


def _put(bucket: Bucket, path: S3Path, data: bytes) -> str:
    writer = bucket.writer(path.key)
    with writer:
        writer.write(data)
    return writer.sha256


def _record(services: Services, batch: Batch, line: BatchLine, job: Job | None, outcome: _Outcome) -> None:
    if outcome.outputs is not None:
        services.sources.written(batch, line, outcome.outputs, skipped=outcome.skipped)
    elif (line.facts or {}).get("earlier"):
        services.sources.hear_again(batch, line)
    else:
        services.lines.failed(batch, line, ResultLost().as_dict())
    if job is not None and job.media_id is not None:
        _let_go(services, job.media_id)


def _let_go(services: Services, media_id: str) -> None:
    """The recording is in its bucket: the copy counts in the account's quota no longer. What fails here, the sweep does."""
    with suppress(StenopoolError):
        for media in services.media.useless(media_id):
            services.storage.delete(*objects_of(media))
            services.media.forget(media.id)
