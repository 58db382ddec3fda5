"""Whether this installation can work: asked once a second at most, however many ask, and beside everybody's queries."""

from __future__ import annotations

import threading
import time
from typing import Literal

import anyio
import anyio.to_thread

from infra.metrics import ALIVE_SECONDS
from infra.wiring import Services
from pipeline.errors import StenopoolError

FRESH_SECONDS = 1.0
WARM_SECONDS = 60.0  # for the engines; whoever comes then waits for them himself
Status = Literal["ok", "degraded", "starting", "unavailable"]


class Readiness:
    """What was found a moment ago."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._limiter = anyio.CapacityLimiter(1)
        self._lock = anyio.Lock()
        self._until = 0.0
        self._status: Status = "unavailable"
        self._warming_until = self._warm_again = 0.0

    def warm_engines(self) -> None:
        """In a thread of its own: until they are loaded this is not ready."""
        self._warming_until = self._warm_again = time.monotonic() + WARM_SECONDS
        threading.Thread(target=self._warm, name="warm", daemon=True).start()

    def _warm(self) -> None:
        try:
            self._services.registry.warm()
        finally:
            self._warming_until = 0.0

    async def status(self) -> Status:
        """`unavailable` when the database or the storage is away; `starting` while engines are being loaded; `degraded` when only
        the broker is away, an engine cannot be loaded and another one stands in, or work waits for workers of which none lives:
        jobs are still taken, and begin when they are back."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._status = await anyio.to_thread.run_sync(self._look, limiter=self._limiter)
                self._until = time.monotonic() + (0.0 if self._status == "starting" else FRESH_SECONDS)
            return self._status

    def _look(self) -> Status:
        try:
            self._services.database.check()
            self._services.storage.check()
            missed = self._services.jobs.unserved(ALIVE_SECONDS)
        except StenopoolError:
            return "unavailable"
        if self._warming_until > time.monotonic():
            return "starting"
        try:
            self._services.queue.check()
        except StenopoolError:
            return "degraded"
        return "degraded" if missed or self._troubled() else "ok"

    def _troubled(self) -> bool:
        """Whether an engine could not be loaded; once in a while that is tried again."""
        troubled = bool(self._services.registry.troubles)
        if troubled and time.monotonic() > self._warm_again:
            self._warm_again = time.monotonic() + WARM_SECONDS
            threading.Thread(target=self._warm, name="warm", daemon=True).start()
        return troubled
