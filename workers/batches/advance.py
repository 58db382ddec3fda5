"""A batch moved on by one step: read, its lines made jobs, those that ended counted, its output written. A bulk run is one whose
lines are the recordings of a bucket, and whose output is written as they are heard.

Each step may be done again by whoever follows one who died: a line becomes a job in one transaction with its row, and what is
written is written anew. None of it is Celery's: the scheduler calls it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from infra.batches.batch_store import CANCELLED, CANCELLING, COMPLETED, EXPIRED, FINALIZING, VALIDATING
from infra.batches.bulk_plan import BULK, plan_of
from infra.database.tables.batches import Batch
from infra.wiring import Services
from pipeline.errors import LeaseLost, NotFound, StenopoolError, WrongState
from workers.batches.estimate_sources import estimate_sources
from workers.batches.list_sources import list_sources
from workers.batches.read_input import read_input
from workers.batches.start_lines import CapReached, start_lines
from workers.batches.write_output import write_output
from workers.batches.write_report import EVERY, write_report
from workers.batches.write_results import write_results

log = logging.getLogger(__name__)

LOOK_AGAIN = 1.0  # seconds until its jobs are looked at again
TRY_AGAIN = 10.0  # seconds, after something failed
STATES = {CANCELLING: CANCELLED, EXPIRED: EXPIRED}


def advance_batches(services: Services) -> bool:
    """Every batch that is due by one step. True: one of them can go on at once."""
    more, after = False, ""
    while (batch := services.batches.claim(after)) is not None:
        after = batch.id
        more = _unless_it_fails(services, batch) or more
    return more


def _unless_it_fails(services: Services, batch: Batch) -> bool:
    """One that fails never stops the others."""
    try:
        return _advance(services, batch)
    except LeaseLost:
        return False
    except StenopoolError as error:
        log.warning("the batch %s is tried again in a while: %s", batch.id, error)
        services.batches.release(batch, pause=TRY_AGAIN, waiting=error.as_dict())
        return False


def _advance(services: Services, batch: Batch) -> bool:
    bulk = batch.kind == BULK
    if batch.status == VALIDATING:
        (list_sources if bulk else read_input)(services, batch)
    elif batch.status == FINALIZING:
        _write(services, batch)
    else:
        return _run(services, batch)
    services.batches.release(batch)
    return True


def _write(services: Services, batch: Batch) -> None:
    if batch.kind == BULK:
        if not plan_of(batch).dry_run:
            write_report(services, batch)
        services.batches.finished(batch, None, None)
    else:
        write_output(services, batch)


def _run(services: Services, batch: Batch) -> bool:
    if not services.batches.may_run(batch):
        with suppress(WrongState):
            services.batches.cancel(batch.account_id, batch.id, batch.kind)
    standing = services.batches.standing(batch)
    if services.batches.rises(batch):
        services.jobs.raise_batch(batch.id)
    while services.lines.ended(batch, over=standing in STATES):
        pass
    waiting = None
    if standing in STATES:
        _stop(services, batch)
    else:
        waiting = _start(services, batch)
    writes = batch.kind == BULK and not plan_of(batch).dry_run
    more = writes and write_results(services, batch)
    if not services.lines.remaining(batch):
        services.batches.finalizing(batch, STATES.get(standing, COMPLETED))
        services.batches.release(batch)
        return True
    if writes and services.sources.report_due(batch, EVERY):
        write_report(services, batch)
    pause = 0.0 if more else TRY_AGAIN if waiting else LOOK_AGAIN
    services.batches.release(batch, pause=pause, waiting=waiting)
    return more


def _start(services: Services, batch: Batch) -> dict[str, Any] | None:
    """What is in the way of the next lines, if anything. A bulk run that has cost what it may begins nothing more."""
    if batch.kind == BULK and plan_of(batch).dry_run:
        estimate_sources(services, batch)
        return None
    try:
        return start_lines(services, batch)
    except CapReached as error:
        services.lines.leave_rest(batch, error.as_dict())
        return None


def _stop(services: Services, batch: Batch) -> None:
    """What waits never runs, and what runs is cancelled."""
    services.lines.leave_rest(batch)
    for job_id in services.lines.jobs_under_way(batch):
        with suppress(NotFound, WrongState):
            services.jobs.cancel(batch.account_id, job_id)
