"""Advance a job: the one thing a job's bell asks for. What there is to do is in its row."""

from __future__ import annotations

import logging
from functools import partial

from infra.jobs.store import Bell
from infra.logs import log_context
from pipeline.errors import UNUSABLE_MEDIA, StenopoolError, unusable_media
from pipeline.lifecycle import Stage
from workers.failure_policy import Try, settled
from workers.job_context import Turn
from workers.steps import speak
from workers.steps.fetch import fetch
from workers.steps.finish import finish
from workers.steps.prepare import prepare
from workers.worker_context import Desk

log = logging.getLogger(__name__)


def advance(desk: Desk, job_id: str) -> None:
    """Claim the job and do the next thing: fetch its input, prepare it, or finish it. Nothing when it is not ours to do."""
    claimed = desk.services.jobs.claim(job_id, desk.worker)
    if claimed is None:
        return
    lease, job = claimed
    with (
        log_context(job_id=job.id, request_id=job.request_id, attempt=lease.attempt),
        desk.leases.holding(lease) as hold,
    ):
        to_finish = _step(desk, Turn(desk.services, hold, job))
    if to_finish:
        advance(desk, job_id)


def _hand_over(turn: Turn) -> bool:
    """What comes next is for workers of another role."""
    jobs, job = turn.services.jobs, turn.job
    jobs.release(turn.hold.lease)
    if turn.services.queue.ring_job(job.id, job.queue):
        jobs.mark_rung(Bell("job", job.id, None, job.queue))
    return False


def _step(desk: Desk, turn: Turn) -> bool:
    """True when preparing left nothing to hear: the job can be claimed once more and finished."""
    services, job = turn.services, turn.job
    work = Try(
        fail=partial(services.jobs.fail, turn.hold.lease),
        metrics=services.metrics,
        failures=job.failures,
        tries=services.settings.max_attempts,
        stage=Stage.PREPARING,
    )
    with settled(work):
        if known := unusable_media(job.input.get("unusable") or {}):
            raise known
        if job.cut_done:
            work.stage = Stage.STITCHING
            finish(turn)
            return False
        if job.source:
            work.stage = Stage.FETCHING
            turn = fetch(turn)
            if turn.job.queue != desk.role:
                return _hand_over(turn)
            work.stage = Stage.PREPARING
        return speak.prepare(turn) if job.task == "speech" else prepare(desk.role, turn, work)
    if isinstance(work.cause, UNUSABLE_MEDIA):
        _let_go(turn)
    return False


def _let_go(turn: Turn) -> None:
    """A recording that nobody can ever hear is not kept until its time is over. What fails here, the sweep does."""
    services, media_id = turn.services, turn.job.media_id
    try:
        for media in services.media.useless(media_id) if media_id else ():
            services.storage.delete(media.storage_key)
            services.media.forget(media.id)
    except StenopoolError as error:
        log.warning("the sweep must delete an unusable recording: %s", error)
