"""What a worker process has at hand: the services, the keeper of its leases, and its name in the rows."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from infra.database.connection_budget import FACT as CONNECTIONS_FACT
from infra.database.migrations.newer_schema import NewerSchema
from infra.encryption.rolling_upgrade import OPENS_SEALED
from infra.leases import LeaseKeeper
from infra.settings import Settings
from infra.telemetry.pool_reports import PoolReports
from infra.tracing.spans import set_up_tracing
from infra.wiring import Services, build
from infra.worker_heartbeats import PACES, SignOfLife
from pipeline.audio.ffmpeg.binary import ffmpeg_version
from pipeline.audio.ffmpeg.sandbox import sandbox_level
from pipeline.errors import StenopoolError
from workers.job_language import Languages
from workers.paid_answers import KEPT_SECONDS
from workers.senders import Senders

log = logging.getLogger(__name__)

Role = Literal["cpu", "io", "scheduler"]
SENDERS = 16  # of webhooks, where nothing else is said
PRESENCE_SECONDS = 5.0  # between two signs of life in the workers table
LOOK_SECONDS = 0.5  # between two looks whether to leave
LEAVE_SECONDS = 2 * LOOK_SECONDS  # to notice the stop and say goodbye
PULSE_SECONDS = 1.0  # between two signs of the main process for those forked from it
PULSE_LOST = 15.0  # seconds without one
STUCK_SECONDS = 120.0  # void work that does not notice for this long costs its process


class StopTime:
    """When this worker has to be gone; set once in the main process and seen by every process forked from it.

    CLOCK_MONOTONIC is the same for all processes of a machine.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    def set(self, seconds_from_now: float) -> None:
        """The first call counts."""
        if self.at() is None:
            self._shared[:] = struct.pack("d", time.monotonic() + seconds_from_now)

    def at(self) -> float | None:
        """By time.monotonic(); None while nobody wants it to stop."""
        return struct.unpack("d", self._shared[:])[0] or None


class NewerDatabase:
    """Whether a newer version's schema was met by any process forked from this one: waiting does not mend that."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)
        self._main = os.getpid()

    def note(self) -> None:
        """It was: the main process stops, as when it is told to."""
        if not self.is_met:
            self._shared[0] = 1
            os.kill(self._main, signal.SIGTERM)

    @property
    def is_met(self) -> bool:
        """It was."""
        return self._shared[0] == 1


class MainPulse:
    """Whether the main process runs, which hands out the work; seen by every process forked from it."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    def start(self) -> None:
        """In the main process, after it has forked: from a thread, so that a broker that is away does not stop it."""
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def beat(self) -> None:
        """It runs."""
        self._shared[:] = struct.pack("d", time.monotonic())

    @property
    def is_lost(self) -> bool:
        """It stands still."""
        last: float = struct.unpack("d", self._shared[:])[0]
        return last > 0 and time.monotonic() - last > PULSE_LOST

    def _beat(self) -> None:
        while True:
            self.beat()
            time.sleep(PULSE_SECONDS)


@dataclass(frozen=True)
class WorkerContext:
    """One process' services, and who it is."""

    services: Services
    leases: LeaseKeeper
    role: Role
    name: str
    languages: Languages = field(default_factory=Languages)
    senders: Senders = field(default_factory=lambda: Senders(SENDERS))

    @property
    def slots(self) -> int:
        """How many pieces of work this process does at once."""
        return self.services.settings.io_threads if self.role == "io" else 1

    def beat(self) -> None:
        """Tell the database that this process lives."""
        self.services.workers.beat(
            self.name, self.role, socket.gethostname(), os.getpid(), facts(self.services) | {"slots": self.slots}
        )

    def close(self) -> None:
        """Stop beating and close the services."""
        self.leases.close()
        self.services.workers.leave(self.name)
        self.services.close()


class WorkerContextFactory:
    """Makes the context when it is first needed, once per process; never before a fork."""

    def __init__(self, settings: Settings, role: Role, stop_time: StopTime) -> None:
        self.settings = settings
        self.role: Role = role
        self.stop_time = stop_time
        self.main_pulse = MainPulse()
        self.newer_database = NewerDatabase()
        self.pool_reports: PoolReports | None = None  # where somebody listens
        self._lock = threading.Lock()
        self._worker: WorkerContext | None = None
        self._presence: threading.Thread | None = None

    def get(self) -> WorkerContext:
        """The context of this process."""
        with self._lock:
            if self._worker is None:
                # A pool child works on one thing at a time, so one warm engine is enough where it has its own.
                set_up_tracing(self.role, os.environ)
                services = build(self.settings, engine_processes=1 if self.role == "cpu" else None)
                name = f"{self.role}@{socket.gethostname()}:{os.getpid()}"
                still_here = partial(services.queue.still_here, name, self.settings.lease_seconds)
                leases = LeaseKeeper(
                    services.jobs,
                    self.settings.lease_seconds,
                    self.stop_time.at,
                    still_here,
                    services.metrics.leases_lost.inc,
                )
                senders = Senders(self.settings.io_threads // 2)
                self._worker = WorkerContext(services, leases, self.role, name, senders=senders)
            return self._worker

    def show_up(self) -> None:
        """Start the thread that makes the context ready before the first message, and tells the database we live."""
        self._presence = threading.Thread(target=self._be_present, name="presence", daemon=True)
        self._presence.start()
        threading.Thread(target=self._give_signs, name="signs", daemon=True).start()
        if self.pool_reports is not None:
            threading.Thread(target=self._report, name="reports", daemon=True).start()

    def take_leave(self) -> None:
        """Before this process ends in good order: wait until the database has been told."""
        if self._presence is not None:
            self._presence.join(LEAVE_SECONDS)
        self._report_once()

    def _report(self) -> None:
        """In a pool child: what it has counted, to the process that listens."""
        while True:
            time.sleep(PULSE_SECONDS)
            self._report_once()

    def _report_once(self) -> None:
        worker = self._worker
        if self.pool_reports is not None and worker is not None:
            self.pool_reports.report(worker.services.metrics.registry)

    def _be_present(self) -> None:
        next_sign = 0.0
        while self.stop_time.at() is None:
            if time.monotonic() >= next_sign and not self.main_pulse.is_lost:
                self._show_sign()
                next_sign = time.monotonic() + PRESENCE_SECONDS
            time.sleep(LOOK_SECONDS)
        with contextlib.suppress(StenopoolError):
            worker = self.get()
            worker.services.workers.leave(worker.name)

    def _give_signs(self) -> None:
        """Beside the database, which may be away."""
        sign = SignOfLife(self.settings.home, self.role, os.getpid())
        try:
            while self.stop_time.at() is None:
                if not self.main_pulse.is_lost:
                    sign.give()
                time.sleep(PULSE_SECONDS)
            sign.withdraw()
        except OSError as error:
            log.warning(
                "gives no sign of life in the home, so while the database is away no check can find it: %s", error
            )

    def _show_sign(self) -> None:
        try:
            worker = self.get()
            worker.beat()
            worker.services.answers.forget(KEPT_SECONDS)
            self._leave_if_stuck(worker)
        except NewerSchema as error:
            log.critical("%s Update Stenopool here; this worker ends.", error)
            self.newer_database.note()
        except StenopoolError as error:
            log.warning("cannot tell the database that this worker lives: %s", error)
        except Exception:
            log.exception("the sign of life failed")

    def _leave_if_stuck(self, worker: WorkerContext) -> None:
        """A pool child whose work does not notice that it is void makes room for a fresh one."""
        if self.role == "cpu" and worker.leases.stuck_for() > STUCK_SECONDS:
            log.error("void work did not end; replacing this process")
            os._exit(os.EX_SOFTWARE)


def facts(services: Services) -> dict[str, Any]:
    """What /readyz and `doctor` want to know of a worker."""
    return {
        "sandbox": sandbox_level(),
        "ffmpeg": ffmpeg_version(),
        "catalog": str(services.settings.catalog or "shipped"),
        "ledger_differences": services.ledger.differences,
        PACES: services.registry.paces.known(),
        CONNECTIONS_FACT: services.settings.database_pool,
        **OPENS_SEALED,
    }
