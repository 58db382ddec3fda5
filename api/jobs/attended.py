"""A job whose caller holds the connection and waits for its end. When nobody waits any more, nobody works any more."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from fastapi import Request

from api.dependencies import AppContext
from api.http.client_disconnect import unless_gone
from api.http.error_responses import ServerStopping
from infra.database.tables.jobs import Job
from infra.jobs.create_and_read import JobMark
from infra.requests.job_object import terminal
from pipeline.errors import DeadlineExceeded, StenopoolError, error_of
from pipeline.lifecycle import TERMINAL, JobStatus

LOOK_AGAIN = 60.0  # seconds, whatever nobody has told


async def completed(request: Request, context: AppContext, job: Job) -> Job:
    """The job at its end. It holds no request slot meanwhile. Raises what has failed the job; ClientGone and ServerStopping, and
    then the job is cancelled."""
    request.state.slot.give_back()
    try:
        ended = await unless_gone(request.receive, _ended(context, job))
    except BaseException:
        await context.clean_up(partial(_cancelled, context, job))
        raise
    if ended.status == JobStatus.COMPLETED:
        return ended
    raise error_of(ended.error) if ended.error else DeadlineExceeded()


async def _ended(context: AppContext, job: Job) -> Job:
    while not terminal(job):
        if context.shutting_down:
            raise ServerStopping
        await context.watcher.until(job.id, _has_ended, LOOK_AGAIN)
        job = await context.look(partial(context.services.jobs.get, job.account_id, job.id))
    return job


def _has_ended(mark: JobMark | None) -> bool:
    return mark is None or mark.status in TERMINAL


def _cancelled(context: AppContext, job: Job) -> None:
    with suppress(StenopoolError):  # it has ended, or the sweep will see that nobody reads it
        context.services.jobs.cancel(job.account_id, job.id)
