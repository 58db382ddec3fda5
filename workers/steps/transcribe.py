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
from workers.failure_policy import Try, settled
from workers.job_context import Turn
from workers.steps import speak
from workers.steps.next_step import advance
from workers.steps.usage_metering import used
from workers.worker_context import Desk


def transcribe(desk: Desk, job_id: str, idx: int) -> None:
    """Claim the chunk and hear it; nothing when it is not ours to do. Who ends the last chunk goes on with the job."""
    claimed = desk.services.jobs.claim_chunk(job_id, idx, desk.worker)
    if claimed is None:
        return
    lease, chunk, job = claimed
    context = log_context(job_id=job.id, chunk=idx, request_id=job.request_id, attempt=lease.attempt)
    with context, desk.leases.holding(lease) as hold:
        was_last = _step(desk, Turn(desk.services, hold, job), chunk)
    if was_last:
        advance(desk, job_id)


def _step(desk: Desk, turn: Turn, chunk: Chunk) -> bool:
    services = turn.services
    work = Try(
        fail=partial(services.jobs.fail_chunk, turn.hold.lease),
        metrics=services.metrics,
        failures=chunk.failures,
        tries=services.settings.max_attempts,
        stage=Stage.TRANSCRIBING,
        chunk=chunk.idx,
    )
    with settled(work):
        return speak.speak(turn, chunk) if turn.job.task == "speech" else _hear(desk, turn, chunk)
    return work.failed is True


def _hear(desk: Desk, turn: Turn, chunk: Chunk) -> bool:
    """True when it was the job's last chunk."""
    if chunk.sound_key is None:
        raise InputMissing("The chunk's sound is no longer in storage.")
    services, span = turn.services, span_from_dict(chunk.span)
    sound = Sound(span, services.storage.get(chunk.sound_key))
    heard = hear_chunk(sound, desk.languages.options(turn, chunk), services.toolbox)
    turn.hold.check()
    services.storage.put(turn.heard_key, heard_to_json(heard))
    usage = used(turn.job, span, heard)
    return services.jobs.complete_chunk(turn.hold.lease, turn.heard_key, heard.model_used, usage)
