"""Whoever waits for a job: one look a second for all of them, which wakes those it concerns.

A waiter holds a connection and nothing else: no request slot, no thread, no query of its own until there is news.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from infra.jobs.create_and_read import JobMark
from pipeline.errors import StenopoolError

log = logging.getLogger("stenopool.api")

LOOK_SECONDS = 1.0  # between two looks
Result = TypeVar("Result")
IsNews = Callable[[JobMark | None], bool]  # None: the job is gone


@dataclass(eq=False)
class _Waiter:
    is_news: IsNews
    woken: asyncio.Future[None]


class JobWatcher:
    """One process'. `marks` asks the database for all watched jobs at once."""

    def __init__(self, marks: Callable[[Collection[str]], Awaitable[Mapping[str, JobMark]]]) -> None:
        self._marks = marks
        self._waiters: dict[str, set[_Waiter]] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._shared: dict[Hashable, asyncio.Task[Any]] = {}

    async def until(self, job_id: str, is_news: IsNews, seconds: float) -> bool:
        """Wait until the job is one of which `is_news` says so, or for so many seconds; whether there is news. True, too, when
        nobody can know, and when the server stops: who waits finds out by looking."""
        waiter = _Waiter(is_news, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(job_id, set()).add(waiter)
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        try:
            async with asyncio.timeout(seconds):
                await waiter.woken
        except TimeoutError:
            return False
        finally:
            self._leave(job_id, waiter)
        return True

    async def shared(self, key: Hashable, look: Callable[[], Awaitable[Result]]) -> Result:
        """What `look` finds, asked once for all whom the same tick woke with the same question."""
        running: asyncio.Task[Result] | None = self._shared.get(key)
        if running is None:
            running = self._shared[key] = asyncio.ensure_future(_awaited(look))
            running.add_done_callback(_seen)
        return await asyncio.shield(running)  # whoever hangs up takes nothing from the others

    def wake_all(self) -> None:
        """The server stops, or nobody can tell: each finds out by looking."""
        self._shared = {}
        for waiters in self._waiters.values():
            for waiter in waiters:
                _wake(waiter)

    def close(self) -> None:
        """Look no more."""
        if self._ticking is not None:
            self._ticking.cancel()

    def _leave(self, job_id: str, waiter: _Waiter) -> None:
        waiters = self._waiters[job_id]
        waiters.discard(waiter)
        if not waiters:
            del self._waiters[job_id]

    async def _tick(self) -> None:
        """As long as anybody waits."""
        try:
            while self._waiters:
                await asyncio.sleep(LOOK_SECONDS)
                await self._look()
        finally:
            self._ticking = None

    async def _look(self) -> None:
        watched = list(self._waiters)
        try:
            marks = await self._marks(watched)
        except StenopoolError as error:
            log.warning("nobody can be told what has changed: %s", error.code)
            self.wake_all()
            return
        self._shared = {}
        for job_id in watched:
            mark = marks.get(job_id)
            for waiter in self._waiters.get(job_id, ()):
                if waiter.is_news(mark):
                    _wake(waiter)


async def _awaited(look: Callable[[], Awaitable[Result]]) -> Result:
    return await look()


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # it may be that nobody waits for it any more


def _wake(waiter: _Waiter) -> None:
    if not waiter.woken.done():
        waiter.woken.set_result(None)
