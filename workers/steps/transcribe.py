"""Hear one chunk, and finish the job when it was the last one."""

from __future__ import annotations

from functools import partial

from infra.database.tables import Chunk
from infra.logs import log_context
from pipeline.cut.cutter import Chunk as Sound
from pipeline.cut.cutter import span_from_dict
from pipeline.errors import InputMissing
from pipeline.lifecycle import Stage
from pipeline.run import hear_chunk
from pipeline.transcript import heard_to_json
from workers.failure_policy import Attempt, settled
from workers.job_context import JobContext
from workers.steps import speak
from workers.steps.next_step import advance
from workers.steps.usage_metering import used
from workers.worker_context import WorkerContext


def transcribe(worker: WorkerContext, job_id: str, idx: int) -> None:
    """Claim the chunk and hear it; nothing when it is not ours to do. Who ends the last chunk goes on with the job."""
    claimed = worker.services.jobs.claim_chunk(job_id, idx, worker.name)
    if claimed is None:
        return
    lease, chunk, job = claimed
    logged = log_context(job_id=job.id, chunk=idx, request_id=job.request_id, attempt=lease.attempt)
    with logged, worker.leases.holding(lease) as held:
        was_last = _step(worker, JobContext(worker.services, held, job), chunk)
    if was_last:
        advance(worker, job_id)


def _step(worker: WorkerContext, context: JobContext, chunk: Chunk) -> bool:
    services = context.services
    work = Attempt(
        fail=partial(services.jobs.fail_chunk, context.held.lease),
        metrics=services.metrics,
        failures=chunk.failures,
        tries=services.settings.max_attempts,
        stage=Stage.TRANSCRIBING,
        chunk=chunk.idx,
    )
    with settled(work):
        return speak.speak(context, chunk) if context.job.task == "speech" else _hear(worker, context, chunk)
    return work.failed is True


def _hear(worker: WorkerContext, context: JobContext, chunk: Chunk) -> bool:
    """True when it was the job's last chunk."""
    if chunk.sound_key is None:
        raise InputMissing("The chunk's sound is no longer in storage.")
    services, span = context.services, span_from_dict(chunk.span)
    sound = Sound(span, services.storage.get(chunk.sound_key))
    heard = hear_chunk(sound, worker.languages.options(context, chunk), services.registry)
    context.held.check()
    data = heard_to_json(heard)
    services.storage.put(context.heard_key, data)
    usage = used(context.job, span, heard)
    lease, key = context.held.lease, context.heard_key
    return services.jobs.complete_chunk(lease, key, heard.model_used, usage, size=len(data))
