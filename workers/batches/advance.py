"""A batch moved on by one step: read, its lines made jobs, those that ended counted, its output written.

Each step may be done again by whoever follows one who died: a line becomes a job in one transaction with its row, and what is
written is written anew. None of it is Celery's: the scheduler calls it.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from infra.batches.batch_store import CANCELLED, CANCELLING, COMPLETED, EXPIRED, FINALIZING, VALIDATING
from infra.database.tables import Batch
from infra.wiring import Services
from pipeline.errors import LeaseLost, NotFound, StenopoolError, WrongState
from workers.batches.read_input import read_input
from workers.batches.start_lines import start_lines
from workers.batches.write_output import write_output

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
    if batch.status == VALIDATING:
        read_input(services, batch)
    elif batch.status == FINALIZING:
        write_output(services, batch)
    else:
        return _run(services, batch)
    services.batches.release(batch)
    return True


def _run(services: Services, batch: Batch) -> bool:
    if not services.batches.may_run(batch):
        with suppress(WrongState):
            services.batches.cancel(batch.account_id, batch.id)
    standing = services.batches.standing(batch)
    while services.lines.ended(batch, over=standing in STATES):
        pass
    waiting = None
    if standing in STATES:
        _stop(services, batch)
    else:
        waiting = start_lines(services, batch)
    if not services.lines.remaining(batch):
        services.batches.finalizing(batch, STATES.get(standing, COMPLETED))
        services.batches.release(batch)
        return True
    services.batches.release(batch, pause=TRY_AGAIN if waiting else LOOK_AGAIN, waiting=waiting)
    return False


def _stop(services: Services, batch: Batch) -> None:
    """What waits never runs, and what runs is cancelled."""
    services.lines.leave_rest(batch)
    for job_id in services.lines.jobs_under_way(batch):
        with suppress(NotFound, WrongState):
            services.jobs.cancel(batch.account_id, job_id)
