"""The scheduler: the sweep in a loop until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType

from infra.monitoring.listener import Address, MonitoringListener
from infra.settings import Settings
from infra.wiring import Services
from workers.sweep import CLEANING, EVERY_MINUTE, EVERY_NIGHT, EVERY_SWEEP, SEALING, Duty, Sweeper
from workers.worker_context import StopTime, WorkerContext, WorkerContextFactory

log = logging.getLogger(__name__)

CLEANING_SECONDS = 10.0  # what has to be gone is gone within a minute of its time
MINUTE = 60.0
LAST_SECONDS = 2.0  # that a pass under way has to come to its end when the scheduler stops
NIGHT = 24 * 3600.0  # from the start of the scheduler on: nobody need agree on a time zone


def run_scheduler(settings: Settings, *, monitoring: Address | None = None) -> int:
    """Sweep every settings.sweep_seconds until SIGTERM or SIGINT; returns the exit code. Raises WrongState where nobody can
    listen at `monitoring`."""
    stop = threading.Event()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    maker = WorkerContextFactory(settings, "scheduler", StopTime())
    if monitoring is not None:
        MonitoringListener(monitoring, "scheduler", lambda: maker.get().services).start()
    worker = maker.get()
    maker.show_up()
    log.info("the scheduler sweeps every %g s", settings.sweep_seconds)
    sweep_until(worker, stop)
    maker.stop_time.set(0)
    worker.close()
    return 0


def sweep_until(worker: WorkerContext, stop: threading.Event) -> None:
    """The loops themselves. Each has a thread of its own, so that what must be soon waits for nothing that takes long."""
    others = [
        threading.Thread(target=_repeat, args=(worker.services, duties, seconds, stop), name=name, daemon=True)
        for name, duties, seconds in (
            ("cleaning", CLEANING, CLEANING_SECONDS),
            ("minute", EVERY_MINUTE, MINUTE),
            ("sealing", SEALING, MINUTE),
            ("night", EVERY_NIGHT, NIGHT),
        )
    ]
    for thread in others:
        thread.start()
    _repeat(worker.services, (*EVERY_SWEEP, _say_so), worker.services.settings.sweep_seconds, stop)
    until = time.monotonic() + LAST_SECONDS
    for thread in others:
        thread.join(max(0.0, until - time.monotonic()))


def _repeat(services: Services, duties: Sequence[Duty], seconds: float, stop: threading.Event) -> None:
    """A pass that takes longer than its interval is followed at once by the next one."""
    sweeper = Sweeper(services)
    while not stop.is_set():
        began = time.monotonic()
        sweeper.perform(duties)
        stop.wait(max(0.0, began + seconds - time.monotonic()))


def _say_so(services: Services) -> None:
    """That the sweep came through."""
    services.metrics.swept.set_to_current_time()
