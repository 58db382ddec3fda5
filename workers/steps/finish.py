"""Finish a job: stitch what its chunks heard, store the transcript, and say so in one transaction."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from infra.database.tables.jobs import Chunk, Job
from infra.jobs.completion import Finished, HeardChunk
from pipeline.cut.cutter import Span, span_as_dict, span_from_dict
from pipeline.errors import StenopoolError
from pipeline.lifecycle import ChunkStatus
from pipeline.quality.omissions import (
    MOST_GAPS,
    caution_as_dict,
    clock_end,
    failed_chunk,
    findings_from_dict,
    longest,
    loss,
    not_sent_as_dict,
    speakers_as_dict,
    with_findings,
)
from pipeline.speakers.labelled import CAUTIONS, labelled
from pipeline.stitch.channels import ALONE, Place, together
from pipeline.stitch.stitcher import stitch
from pipeline.stitch.timeline import runs_forward
from pipeline.transcript import Gap, Heard, Transcript, heard_from_json, transcript_to_json
from workers.job_context import JobContext
from workers.outage_waits import holding_on, persist
from workers.steps import speak
from workers.steps.usage_metering import used

log = logging.getLogger(__name__)

READERS = 8  # of the chunks' results at once

Part = tuple[Span, Heard | Gap]


def finish(context: JobContext) -> None:
    """All chunks are terminal: one transcript out of theirs."""
    services, job = context.services, context.job
    rows = services.jobs.chunks(job.id)
    if [row.idx for row in rows] != list(range(job.chunks_total)):
        raise StenopoolError("The job's chunks are not complete.", chunks=len(rows), expected=job.chunks_total)
    if job.task == "speech":
        speak.finish(context, rows)
        return
    failed = [row for row in rows if row.status == ChunkStatus.FAILED]
    if failed and not any(row.result_key for row in rows):  # gaps and nothing else are no partial result
        services.jobs.fail(context.held.lease, failed[0].error or StenopoolError().as_dict())
        return
    _publish(context, list(_parts(context, rows)))
    with contextlib.suppress(StenopoolError):  # what stays is found when the job is purged
        services.storage.delete_prefix(context.sound_folder)


def finish_single(context: JobContext, span: Span, heard: Heard, spent: Mapping[str, float]) -> None:
    """The recording's only chunk, already heard; `spent` until now, by phase, in seconds."""
    usage = used(context.job, span, heard, context.options.prompt or "")
    single = HeardChunk(span=span_as_dict(span), model_used=heard.model_used or None, usage=usage)
    _publish(context, [(span, heard)], single, spent)


def _parts(context: JobContext, rows: Sequence[Chunk]) -> Iterator[Part]:
    """In order, several being read at once: one after another, a long recording's results take seconds to come."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as threads:
        yield from threads.map(partial(_part, context), rows)


def _part(context: JobContext, row: Chunk) -> Part:
    context.held.check()
    span = span_from_dict(row.span)
    if row.status == ChunkStatus.FAILED:
        return span, failed_chunk(row.idx, row.span, row.error)
    if row.result_key is None:
        return span, Heard()
    return span, heard_from_json(context.services.storage.get(row.result_key))


def _publish(
    context: JobContext,
    parts: Sequence[Part],
    single: HeardChunk | None = None,
    spent: Mapping[str, float] | None = None,
) -> None:
    began = context.began if spent is None else time.monotonic()
    voices = [(span, part.voiceprints) for span, part in parts if isinstance(part, Heard)]
    diarizer = context.services.registry.diarizer
    transcript = labelled(_stitched(context.job, parts), voices, context.options, diarizer)
    data = transcript_to_json(transcript)
    persist(context.held, partial(context.services.storage.put, context.transcript_key, data), holding_on(context))
    context.held.check()
    finished = Finished(
        result_key=context.transcript_key,
        size=len(data) + int(context.job.input.get("peaks", 0)),
        model_used=transcript.model_used or None,
        language=transcript.language,
        partial=transcript.partial,
        quality=_quality(transcript),
        spent={**(spent or {}), "stitched": time.monotonic() - began},
    )
    job = persist(context.held, partial(context.services.jobs.finish, context.held.lease, finished, single))
    context.services.metrics.job_ended(job)
    log.info("completed: %d ms of sound, %d segments", transcript.audio_ms, len(transcript.segments))
    if transcript.incomplete:
        log.warning("sound is missing for good: %s", loss(transcript))


def _stitched(job: Job, parts: Sequence[Part]) -> Transcript:
    """Each track and channel by itself, then all together; their end is on the whole recording's clock."""
    findings = findings_from_dict(job.input.get("findings"))
    end = clock_end(max((span.own_end for span, _ in parts), default=0), findings)
    places: dict[Place, list[Part]] = {} if parts else {ALONE: []}
    for part in parts:
        places.setdefault((part[0].track, part[0].channel), []).append(part)
    whole = together({place: _one(job, mine, end) for place, mine in places.items()})
    samples = sum(span.owned for span, part in parts if isinstance(part, Heard))
    return with_findings(whole, findings, samples)


def _one(job: Job, parts: Sequence[Part], end: int) -> Transcript:
    heard = [part for _, part in parts if isinstance(part, Heard)]
    translated = job.task == "translation"  # a request tells the language of the sound, not that of a translation
    return stitch(
        parts,
        duration=end,
        language=None if translated else job.request.get("language"),
        task="translate" if translated else "transcribe",
        model_used=next((part.model_used for part in heard if part.model_used), ""),
    )


def _quality(transcript: Transcript) -> dict[str, object]:
    seams, coverage = transcript.seams, transcript.coverage
    return {
        "seams": {"silence": seams.silence, "soft": seams.soft, "hard": seams.hard},
        "suspect_segments": sum(1 for segment in transcript.segments if segment.suspect),
        "timeline_monotonic": runs_forward(transcript.segments),
        "coverage": {
            "speech_seconds": coverage.speech / 1000,
            "transcribed_seconds": coverage.transcribed / 1000,
            "chunks_short": list(coverage.chunks_short[:MOST_GAPS]),
        },
        "not_sent": [not_sent_as_dict(stretch) for stretch in longest(transcript.not_sent)],
        **speakers_as_dict(transcript),
        **({"warnings": told} if (told := _of_speakers(transcript)) else {}),
    }


def _of_speakers(transcript: Transcript) -> list[dict[str, object]]:
    """What is to be warned of in telling them apart: the recording's own warnings its findings have."""
    return [caution_as_dict(one) for one in transcript.warnings if one.code in CAUTIONS]
