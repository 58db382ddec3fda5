"""Hear one chunk."""

from __future__ import annotations

import contextlib
from functools import partial

from infra.database.tables.jobs import Chunk
from pipeline.cut.cutter import span_from_dict
from pipeline.errors import InputMissing, StenopoolError
from pipeline.lifecycle import JobStatus, Stage
from pipeline.resilience.probe import probing
from pipeline.run import hear_chunk
from pipeline.transcript import heard_from_json, heard_to_json
from workers.failure_policy import Attempt, settled
from workers.job_context import JobContext
from workers.outage_waits import OutageWatch, persist
from workers.paid_answers import paid_once, stored
from workers.steps import speak
from workers.steps.chunk_input import samples_of
from workers.steps.usage_metering import used
from workers.worker_context import WorkerContext


def transcribe(worker: WorkerContext, context: JobContext, chunk: Chunk) -> bool:
    """Hear one chunk, or speak one passage. True when it was the job's last one, which now waits to be finished."""
    services = context.services
    work = Attempt(
        fail=partial(services.jobs.fail_chunk, context.held.lease),
        metrics=services.metrics,
        failures=chunk.failures,
        tries=services.settings.max_attempts,
        stage=Stage.TRANSCRIBING,
        chunk=chunk.idx,
        outages=OutageWatch(context),
        held=context.held,
        heard=True,
    )
    with settled(work), probing(chunk.waits_for is not None):
        hear = speak.speak if context.job.task == "speech" else partial(_hear, worker)
        return hear(context, chunk, work)
    if work.is_final:
        _note_end(context, chunk)
    return work.failed is True


def _note_end(context: JobContext, chunk: Chunk) -> None:
    """Of a job that has failed because of this chunk."""
    with contextlib.suppress(StenopoolError):
        job = context.services.jobs.find(context.job.id)
        if job and job.status == JobStatus.FAILED and (job.error or {}).get("chunk") == chunk.idx:
            context.services.metrics.job_ended(job)


def _hear(worker: WorkerContext, context: JobContext, chunk: Chunk, work: Attempt) -> bool:
    """True when it was the job's last chunk."""
    if chunk.sound_key is None:
        raise InputMissing("The chunk's sound is no longer in storage.")
    question, span = chunk.sound_key, span_from_dict(chunk.span)
    with paid_once(context, question, partial(_ask, worker, context, chunk), context.heard_key) as answer:
        work.heard = answer.is_new
        context.held.check()
        heard = heard_from_json(answer.data)
        usage = used(context.job, span, heard, context.options.prompt or "")
        key = stored(context, question, answer, context.heard_key)
        complete = partial(context.services.jobs.complete_chunk, context.held.lease, key, heard.model_used, usage)
        return persist(context.held, partial(complete, size=len(answer.data), seconds=context.seconds))


def _ask(worker: WorkerContext, context: JobContext, chunk: Chunk) -> bytes:
    services = context.services
    sound = samples_of(context, chunk)
    return heard_to_json(hear_chunk(sound, worker.languages.options(context, chunk), services.registry))
