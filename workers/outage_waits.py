"""Outages as a worker meets them: what is away, for whom it is, and what to do with work that cannot go on."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from infra.jobs.outages import AT_LAST
from infra.leases import HeldLease
from pipeline.errors import (
    DatabaseUnavailable,
    ModelUnavailable,
    ProviderBusy,
    ProviderUnavailable,
    StenopoolError,
    StorageUnavailable,
)
from pipeline.lifecycle import Dependency
from pipeline.run import is_remote, routes_of
from workers.job_context import JobContext

log = logging.getLogger(__name__)

Result = TypeVar("Result")
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds between two tries to store what we have; the last one again and again


class OutageWatch:
    """One piece of work: whether a failure of it is an outage, and whether its success ends one."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def wait(self, error: StenopoolError, told: dict[str, Any]) -> bool:
        """Give the work back until what it needs is there again. False: it needs nothing that is away, it has failed.

        Raises LeaseLost.
        """
        fails = error.outage == Dependency.PROVIDER and self._context.job.request.get("on_provider_outage") == "fail"
        place = None if error.outage is None or fails else self._place(error.outage)
        if error.outage is None or place is None:
            return False
        return self._context.services.jobs.wait(
            self._context.held.lease,
            error.outage,
            place,
            told if error.outage != Dependency.PROVIDER else {**told, "code": ProviderUnavailable.code},
            suspect=error.outage == Dependency.PROVIDER and not _is_busy(error),
            retry_after=min(AT_LAST, float(error.details.get("retry_after") or 0)) if _is_busy(error) else 0.0,
        )

    def got_through(self, *, heard: bool) -> None:
        """The work is done; `heard`: its provider has answered. Whoever waits for the same need wait no longer."""
        places = {str(kind) for kind in Dependency if kind != Dependency.PROVIDER}
        with contextlib.suppress(StenopoolError):  # the next one that gets through tells it
            provider = self._place(Dependency.PROVIDER) if heard else None
            if self._context.services.jobs.answered(places | ({provider} if provider else set())):
                log.info("what was away is back")

    def _place(self, kind: Dependency) -> str | None:
        """The outage's name. Who shares all routes shares the outage; None: nobody is waited for."""
        if kind != Dependency.PROVIDER:
            return str(kind)
        context, registry = self._context, self._context.services.registry
        options = context.speech_options if context.job.task == "speech" else context.options
        try:
            routes = routes_of(options, registry)
        except ModelUnavailable:  # the last of them has gone meanwhile: whoever tries again is told so
            return None
        if not is_remote(options, registry):  # an engine of this machine that fails at something fails at it again
            return None
        return " ".join([str(kind), *(f"{route.provider}/{route.model}" for route in routes)])


def persist(
    held: HeldLease | None, act: Callable[[], Result], waits: Callable[[StenopoolError], object] | None = None
) -> Result:
    """What `act` gives, tried again while database or storage are away and the work is still ours: what was paid for, and what
    has become of it, is not given up for a server that is restarted. Tells `waits` of each failure. Raises LeaseLost.
    """
    for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
        try:
            return act()
        except (DatabaseUnavailable, StorageUnavailable) as error:
            if held is None:
                raise
            log.warning("holds on to what it has: %s", error)
            held.check()
            with contextlib.suppress(StenopoolError):
                if waits:
                    waits(error)
        time.sleep(pause)
        held.check()
    raise AssertionError("unreachable: the last pause has no end")


def holding_on(context: JobContext) -> Callable[[StenopoolError], object]:
    """For `persist`: whoever looks at the job sees what it waits for."""

    def tell(error: StenopoolError) -> None:
        if error.outage is not None:
            context.services.jobs.hold_on(context.held.lease, error.outage, error.as_dict())

    return tell


def _is_busy(error: StenopoolError) -> bool:
    """Whether somebody is there, and has too much to do: that says nothing of the work."""
    codes = {tried["code"] for tried in error.details.get("tried", ())} or {error.code}
    return ProviderBusy.code in codes
