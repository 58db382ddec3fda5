"""How a piece of work ends when it does not end well: void, back until an outage is over, once more later, or for good."""

from __future__ import annotations

import contextlib
import errno
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from infra.leases import HeldLease
from infra.metrics import Metrics
from pipeline.errors import JobCancelled, LeaseLost, LimitExceeded, QuotaExceeded, StenopoolError, StorageFull
from workers.outage_waits import OutageWatch, persist

log = logging.getLogger(__name__)

FIRST_RETRY = 1.0  # seconds
LONGEST_RETRY = 60.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Attempt:
    """One try at a piece of work: `failures` came before it, of `tries` allowed. `stage` moves on while it works."""

    fail: Callable[[dict[str, Any], float | None], object]
    metrics: Metrics
    failures: int
    tries: int
    stage: str
    chunk: int | None = None
    put_off: Callable[[dict[str, Any], float], bool] | None = (
        None  # until the next day; False where there is no time for it
    )
    outages: OutageWatch | None = None  # None: whatever happens is the work's own failure
    held: HeldLease | None = None  # what becomes of the work is noted for as long as it is ours
    heard: bool = False  # a provider has answered, once all has gone well
    failed: object = None  # what `fail` answered, once it was called
    cause: StenopoolError | None = None  # why it was
    is_final: bool = False  # it was for good


def retry_delay(failures: int, asked: float | None = None) -> float:
    """Seconds before the next try after `failures` failed ones: doubling, half of it jitter; never earlier than asked."""
    ceiling: float = min(LONGEST_RETRY, FIRST_RETRY * 2 ** max(0, failures - 1))
    return max(ceiling * random.uniform(0.5, 1.0), float(asked or 0))  # noqa: S311 - spreads load, guards nothing


@contextlib.contextmanager
def settled(work: Attempt) -> Iterator[None]:
    """Whatever the block raises becomes a move of the row."""
    try:
        yield
    except (LeaseLost, JobCancelled) as error:
        work.metrics.fenced.inc()
        log.info("left %s, because it is no longer ours: %s", work.stage, error)
    except StenopoolError as error:
        _record(work, error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            _record(work, StorageFull("A worker's disk is full."))
            return
        log.exception("%s failed on something nobody thought of", work.stage)
        _record(work, StenopoolError("Something went wrong inside Stenopool."))
    else:
        if work.outages is not None:
            work.outages.got_through(heard=work.heard)


def _record(work: Attempt, error: StenopoolError) -> None:
    work.metrics.attempts.labels(error.code).inc()
    where = {"stage": work.stage} | ({} if work.chunk is None else {"chunk": work.chunk})
    told = {**error.as_dict(), **where}
    # A limit is not gone in a moment: its account has to make room, or the next day to begin.
    again = error.retryable and not isinstance(error, LimitExceeded) and work.failures + 1 < work.tries
    delay = retry_delay(work.failures + 1, error.details.get("retry_after")) if again else None
    if _waits(work, error, told) or _is_put_off(work, error, told):
        return
    if delay is not None:
        work.metrics.retries.labels(error.code).inc()
    log.warning(
        "%s failed (%s): %s; %s",
        work.stage,
        error.code,
        error,
        "for good" if delay is None else f"again in {delay:.1f} s",
    )
    try:
        work.failed, work.cause = persist(work.held, lambda: work.fail(told, delay)), error
        work.is_final = delay is None
    except LeaseLost:
        log.info("the failure is no longer ours to record")
    except StenopoolError as trouble:
        log.warning("the failure could not be recorded (%s); the sweep will find the silent lease", trouble)


def _waits(work: Attempt, error: StenopoolError, told: dict[str, Any]) -> bool:
    """Whether it was given back until what is away is back, or is ours no more."""
    outages = work.outages
    if outages is None or error.outage is None:
        return False
    try:
        waits = persist(work.held, lambda: outages.wait(error, told))
    except LeaseLost:
        return True
    except StenopoolError as trouble:
        log.warning("it could not be told to wait (%s)", trouble)
        return False
    if waits:
        log.warning("%s waits for the %s: %s", work.stage, error.outage, error)
    return waits


def _is_put_off(work: Attempt, error: StenopoolError, told: dict[str, Any]) -> bool:
    """Whether it waits for the next day now."""
    if work.put_off is None or not isinstance(error, QuotaExceeded):
        return False
    try:
        waits = work.put_off(told, float(error.details["retry_after"]))
    except StenopoolError as trouble:
        log.warning("it could not be put off (%s)", trouble)
        return isinstance(trouble, LeaseLost)
    if waits:
        log.warning("%s waits for the next day: %s", work.stage, error)
    return waits
