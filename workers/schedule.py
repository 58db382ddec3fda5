"""The scheduler: the sweep in a loop until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

from infra.monitoring.listener import Address, MonitoringListener
from infra.settings import Settings
from workers.sweep import EVERY_MINUTE, EVERY_NIGHT, EVERY_SWEEP, Sweeper
from workers.worker_context import StopTime, WorkerContext, WorkerContextFactory

log = logging.getLogger(__name__)

MINUTE = 60.0
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
    """The loop itself. A pass that takes longer than its interval is followed at once by the next one."""
    sweeper = Sweeper(worker.services)
    next_minute = next_night = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        sweeper.perform(EVERY_SWEEP)
        if began >= next_minute:
            sweeper.perform(EVERY_MINUTE)
            next_minute = began + MINUTE
        if began >= next_night:
            sweeper.perform(EVERY_NIGHT)
            next_night = began + NIGHT
        stop.wait(max(0.0, began + worker.services.settings.sweep_seconds - time.monotonic()))
