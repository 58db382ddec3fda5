"""Advance a job. What there is to do is in its row."""

from __future__ import annotations

import logging
from functools import partial

from infra.database.tables.jobs import Job
from infra.media import objects_of
from pipeline.errors import UNUSABLE_MEDIA, StenopoolError, unusable_media
from pipeline.lifecycle import Stage
from pipeline.resilience.probe import probing
from workers.failure_policy import Attempt, settled
from workers.job_context import JobContext
from workers.outage_waits import OutageWatch
from workers.steps import speak
from workers.steps.fetch import fetch
from workers.steps.finish import finish
from workers.steps.prepare import prepare
from workers.worker_context import WorkerContext

log = logging.getLogger(__name__)


def advance(worker: WorkerContext, context: JobContext) -> bool:
    """Fetch the job's input, prepare it, or finish it. True when preparing left nothing to hear: it waits to be finished."""
    services, job = context.services, context.job
    work = Attempt(
        fail=partial(services.jobs.fail, context.held.lease),
        metrics=services.metrics,
        failures=job.failures,
        tries=services.settings.max_attempts,
        stage=Stage.PREPARING,
        put_off=partial(services.jobs.put_off, context.held.lease),
        outages=OutageWatch(context),
        held=context.held,
    )
    with settled(work), probing(job.waits_for is not None):
        if known := unusable_media(job.input.get("unusable") or {}):
            raise known
        if job.cut_done:
            work.stage = Stage.STITCHING
            finish(context)
            return False
        if job.source:
            work.stage = Stage.FETCHING
            context = fetch(context)
            if context.job.queue != worker.role:
                return _hand_over(context)
            work.stage = Stage.PREPARING
        return speak.prepare(context) if job.task == "speech" else prepare(worker.role, context, work)
    if work.is_final and isinstance(work.failed, Job):
        services.metrics.job_ended(work.failed)
    if isinstance(work.cause, UNUSABLE_MEDIA):
        _let_go(context)
    return False


def _hand_over(context: JobContext) -> bool:
    """What comes next is for workers of another role."""
    context.services.jobs.release(context.held.lease)
    context.services.queue.send_job(context.job.id, context.job.queue)
    return False


def _let_go(context: JobContext) -> None:
    """A recording that nobody can ever hear is not kept until its time is over. What fails here, the sweep does."""
    services, media_id = context.services, context.job.media_id
    try:
        for media in services.media.useless(media_id) if media_id else ():
            services.storage.delete(*objects_of(media))
            services.media.forget(media.id)
    except StenopoolError as error:
        log.warning("the sweep must delete an unusable recording: %s", error)
