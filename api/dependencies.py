"""What the routes are handed: the services, who asks, and threads for everything that blocks."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, Request

from api.live_transcript import TranscriptCache
from api.readiness import Readiness
from api.rendering import Renderings
from api.thread_pool import ThreadPool
from infra.keys.accounts import Principal
from infra.wiring import Services
from pipeline.concurrency.greenlet_io import run_in_greenlet

Result = TypeVar("Result")
STORE_THREADS = 40  # short calls: the database, small objects
TRANSFER_THREADS = 32  # writes of uploads and reads of results
BROKER_THREADS = 8  # sends to the broker, which may hang for a second
JOBS = "/v1/audio/jobs"


class AppContext:
    """The services, with bounded pools, so that long work never holds up short questions."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.readiness = Readiness(services)
        self.transcript_cache = TranscriptCache()
        self.renderings = Renderings()
        self.shutting_down = False  # the server is asked to stop: whoever only waits shall end
        self._store = anyio.CapacityLimiter(STORE_THREADS)
        self._transfer = anyio.CapacityLimiter(TRANSFER_THREADS)
        self._publish = anyio.CapacityLimiter(BROKER_THREADS)
        self._synthesize = anyio.CapacityLimiter(services.settings.io_threads)
        self._work = ThreadPool(services.settings.io_threads, "work")
        self._measure = anyio.CapacityLimiter(services.settings.cpu_processes)

    async def query(self, call: Callable[[], Result]) -> Result:
        """Run a short blocking call: a store's transaction."""
        return await anyio.to_thread.run_sync(call, limiter=self._store)

    async def transfer(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call that moves bytes to or from storage."""
        return await anyio.to_thread.run_sync(call, limiter=self._transfer)

    async def publish(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call to the broker."""
        return await anyio.to_thread.run_sync(call, limiter=self._publish)

    async def work(self, call: Callable[[], Result]) -> Result:
        """Run a long blocking call: a transcription."""
        return await self._work.run(call)

    def run_in_greenlet(self, call: Callable[[], Result]) -> Awaitable[Result]:
        """Run a call that does little but wait, and waits by `greenlet_io`; what it has to block for is work."""
        return run_in_greenlet(call, self._work.run)

    async def measure(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call that decodes a recording only to know how long it is."""
        return await anyio.to_thread.run_sync(call, limiter=self._measure)

    async def synthesize(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call that waits for the next piece of speech."""
        return await anyio.to_thread.run_sync(call, limiter=self._synthesize)

    def close(self) -> None:
        """Let the threads go."""
        self._work.close()

    async def clean_up(self, call: Callable[[], object]) -> None:
        """Run a blocking call that lets go of something, even while the request is being cancelled."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(call)


async def context_of(request: Request) -> AppContext:
    """The application's context."""
    context: AppContext = request.app.state.context
    return context


async def principal_of(request: Request) -> Principal:
    """Who asks, as the key check found."""
    principal: Principal = request.state.principal
    return principal


def milliseconds(request: Request) -> int:
    """How long this request has been here."""
    began: float = request.state.started_at
    return round((time.monotonic() - began) * 1000)


Context = Annotated[AppContext, Depends(context_of)]
Caller = Annotated[Principal, Depends(principal_of)]
