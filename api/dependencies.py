"""What the routes are handed: the services, who asks, and threads for everything that blocks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, Request

from api.held_bytes import HeldBytes
from api.http.unknown_names import check_query
from api.job_watcher import JobWatcher
from api.live_transcript import TranscriptCache
from api.readiness import Readiness
from api.rendering import Renderings
from api.thread_pool import ThreadPool
from infra.keys.accounts import Principal
from infra.limits.shares import owner_of
from infra.wiring import Services
from pipeline.concurrency.greenlet_io import run_in_greenlet
from pipeline.concurrency.shares import Shares, current_owner, work_for

Result = TypeVar("Result")
# Of each of these, and of twice the io threads for work and for speech, an account alone gets half.
STORE_THREADS = 40  # short calls: the database, small objects
TRANSFER_THREADS = 64  # writes of uploads and reads of results
LOOK_THREADS = 4  # looks of those who have waited: however many they are, they take nothing from those who ask
HEARINGS = 4  # recordings heard at once by engines on this machine, times its processors
SCRATCH_FILES = 4  # of the greatest size: on disk at once for estimates, one account's four fifths of it at most
BROKER_THREADS = 16  # sends to the broker, which may hang for a second
JOBS = "/v1/audio/jobs"


class _FairThreads:
    """So many threads, shared among those for whom calls are made; raises AccountBusy where too many of one wait."""

    def __init__(self, count: int) -> None:
        self._shares = Shares(count, room_for_others=True)
        self._limiter = anyio.CapacityLimiter(count)

    async def run(self, call: Callable[[], Result]) -> Result:
        """What the call returns or raises. It is seen to its end, even where its request is cancelled."""
        owner = current_owner()
        await self._shares.acquire_async(owner)
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        finally:
            self._shares.release(owner)


class AppContext:
    """The services, with bounded pools, so that long work never holds up short questions."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.readiness = Readiness(services)
        self.transcript_cache = TranscriptCache()
        self.renderings = Renderings()
        self.shutting_down = False  # the server is asked to stop: whoever only waits shall end
        self.watcher = JobWatcher(lambda job_ids: self.look(partial(services.jobs.marks, job_ids)))
        self._look = anyio.CapacityLimiter(LOOK_THREADS)
        waiting = 2 * services.settings.io_threads
        self._store = _FairThreads(STORE_THREADS)
        self._transfer = _FairThreads(TRANSFER_THREADS)
        self._publish = _FairThreads(BROKER_THREADS)
        self._synthesize = _FairThreads(waiting)
        self._work = ThreadPool(Shares(waiting, room_for_others=True), "work")
        # Each of these decodes and cuts in this process while an engine hears: more at once would only take turns at its lock.
        self._hear = ThreadPool(Shares(HEARINGS * services.settings.cpu_processes, room_for_others=True), "hear")
        self._measure = _FairThreads(services.settings.cpu_processes)
        self.scratch = HeldBytes(SCRATCH_FILES * services.settings.max_upload_bytes)

    async def query(self, call: Callable[[], Result]) -> Result:
        """Run a short blocking call: a store's transaction."""
        return await self._store.run(call)

    async def look(self, call: Callable[[], Result]) -> Result:
        """Run a short blocking call for those who wait, and hold no request's slot meanwhile."""
        return await anyio.to_thread.run_sync(call, limiter=self._look)

    async def transfer(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call that moves bytes to or from storage."""
        return await self._transfer.run(call)

    async def stream(self, first: bytes, blocks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
        """An object of the store from its first block on, which somebody has read to know that it is there."""
        yield first
        while block := await self.transfer(partial(next, blocks, b"")):
            yield block

    async def publish(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call to the broker."""
        return await self._publish.run(call)

    async def work(self, call: Callable[[], Result]) -> Result:
        """Run a long blocking call: a transcription."""
        return await self._work.run(call)

    async def hear(self, call: Callable[[], Result]) -> Result:
        """Run a long call that computes: a transcription by an engine on this machine."""
        return await self._hear.run(call)

    def run_in_greenlet(self, call: Callable[[], Result]) -> Awaitable[Result]:
        """Run a call that does little but wait, and waits by `greenlet_io`; what it has to block for is work."""
        return run_in_greenlet(call, self._work.run)

    async def measure(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call that decodes a recording only to know how long it is."""
        return await self._measure.run(call)

    async def synthesize(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call that waits for the next piece of speech."""
        return await self._synthesize.run(call)

    def stop_waiting(self) -> None:
        """The server is asked to stop: whoever only waits is answered at once."""
        self.shutting_down = True
        self.watcher.wake_all()

    def close(self) -> None:
        """Let the threads go."""
        self.watcher.close()
        self._work.close()
        self._hear.close()

    async def clean_up(self, call: Callable[[], object]) -> None:
        """Run a blocking call that lets go of something, even while the request is being cancelled."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(call)


async def context_of(request: Request) -> AppContext:
    """The application's context: the first thing that a route asks for, so misspelt parameters end here. Raises InvalidRequest."""
    if request.scope["query_string"]:
        check_query(request)
    context: AppContext = request.app.state.context
    return context


async def principal_of(request: Request) -> Principal:
    """Who asks, as the key check found; what the request does from here on is done for them."""
    principal: Principal = request.state.principal
    work_for(owner_of(principal.account_id, principal.tier))
    return principal


Context = Annotated[AppContext, Depends(context_of)]
Caller = Annotated[Principal, Depends(principal_of)]
