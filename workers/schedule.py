"""The scheduler: the sweep in a loop until it is told to stop, and beside it whatever may take its time."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

from infra.memory_tuning import tune_memory
from infra.monitoring.listener import Address, MonitoringListener
from infra.settings import Settings
from workers.sweep import BESIDE_IT, CLEANING, EVERY_MINUTE, EVERY_NIGHT, EVERY_SWEEP, Duty, Sweeper
from workers.worker_context import StopTime, WorkerContext, WorkerContextFactory

log = logging.getLogger(__name__)

CLEANING_SECONDS = 10.0  # what has to be gone is gone within a minute of its time
MINUTE = 60.0
LEAVE = 2.0  # seconds that duties have to come to an end once it is told to stop
NIGHT = 24 * 3600.0  # from the start of the scheduler on: nobody need agree on a time zone


def run_scheduler(settings: Settings, *, monitoring: Address | None = None, grace: float = LEAVE) -> int:
    """Sweep every settings.sweep_seconds until SIGTERM or SIGINT; returns the exit code. Duties that have begun have `grace`
    seconds to come to their end. Raises WrongState where nobody can listen at `monitoring`."""
    stop = threading.Event()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    tune_memory()
    maker = WorkerContextFactory(settings, "scheduler", StopTime())
    if monitoring is not None:
        MonitoringListener(monitoring, "scheduler", lambda: maker.get().services).start()
    worker = maker.get()
    maker.show_up()
    log.info("the scheduler sweeps every %g s", settings.sweep_seconds)
    sweep_until(worker, stop, grace)
    maker.stop_time.set(0)
    worker.close()
    return 0


def sweep_until(worker: WorkerContext, stop: threading.Event, grace: float = LEAVE) -> None:
    """The loop itself. A pass that takes longer than its interval is followed at once by the next one."""
    sweeper, every = Sweeper(worker.services), worker.services.settings.sweep_seconds
    intervals = {BESIDE_IT: every, CLEANING: CLEANING_SECONDS, EVERY_MINUTE: MINUTE, EVERY_NIGHT: NIGHT}
    threads = [
        threading.Thread(target=_repeat, args=(sweeper, duty, seconds, stop), name=duty.__name__, daemon=True)
        for duties, seconds in intervals.items()
        for duty in duties
    ]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        began = time.monotonic()
        sweeper.perform(EVERY_SWEEP)
        worker.services.metrics.swept.set_to_current_time()
        stop.wait(max(0.0, began + every - time.monotonic()))
    last = time.monotonic() + grace
    for thread in threads:
        thread.join(max(0.0, last - time.monotonic()))


def _repeat(sweeper: Sweeper, duty: Duty, seconds: float, stop: threading.Event) -> None:
    """A duty by itself, so that none waits for another: every so many seconds, and at once where it has left something."""
    while not stop.is_set():
        if not sweeper.perform((duty,)):
            stop.wait(seconds)
