"""Hear one chunk."""

from __future__ import annotations

from functools import partial

from infra.database.tables import Chunk
from pipeline.cut.cutter import Chunk as Sound
from pipeline.cut.cutter import span_from_dict
from pipeline.errors import InputMissing
from pipeline.lifecycle import Stage
from pipeline.resilience.probe import probing
from pipeline.run import hear_chunk
from pipeline.transcript import heard_to_json
from workers.failure_policy import Attempt, settled
from workers.job_context import JobContext
from workers.outage_waits import OutageWatch, holding_on, persist
from workers.steps import speak
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
    usage = used(context.job, span, heard, context.options.prompt or "")
    lease, key = context.held.lease, context.heard_key
    persist(context.held, partial(services.storage.put, key, data), holding_on(context))
    complete = partial(services.jobs.complete_chunk, lease, key, heard.model_used, usage, size=len(data))
    return persist(context.held, complete)
