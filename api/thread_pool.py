"""Threads for the work behind busy routes.

What `anyio.to_thread` can do besides (capacities that are shared and changed, cancellation that reaches into the thread) every
request would pay for. This is the rest: a queue, threads, and a future.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from pipeline.concurrency.shares import Owner, Shares, current_owner

Result = TypeVar("Result")


class _WorkItem(NamedTuple):
    owner: Owner
    call: Callable[[], Any]
    context: Context
    loop: asyncio.AbstractEventLoop
    outcome: asyncio.Future[Any]


class ThreadPool:
    """As many threads as there are `shares`, started when they are needed; calls wait there for their owner's turn.

    The threads are daemons: a call that hangs keeps no process from ending.
    """

    def __init__(self, shares: Shares, name: str) -> None:
        self._shares, self._name = shares, name
        self._queue: SimpleQueue[_WorkItem | None] = SimpleQueue()
        self._started = 0
        self._busy = 0  # calls handed out and not done: changed by the loop's own thread alone

    async def run(self, call: Callable[[], Result]) -> Result:
        """What the call returns or raises. Who is cancelled meanwhile leaves it to itself; once begun it is seen to its end.

        Raises AccountBusy where too many calls of this context's owner wait.
        """
        owner = current_owner()
        await self._shares.acquire_async(owner)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Result] = loop.create_future()
        self._busy += 1
        if self._busy > self._started and self._started < self._shares.total:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._queue.put(_WorkItem(owner, call, copy_context(), loop, outcome))
        return await outcome

    def close(self) -> None:
        """Let the threads go, each after what it is at."""
        for _ in range(self._started):
            self._queue.put(None)

    def _work(self) -> None:
        while item := self._queue.get():
            result, error = _outcome_of(item)
            try:
                item.loop.call_soon_threadsafe(self._settle, item, result, error)
            except RuntimeError:  # the loop was closed, and nobody waits
                self._shares.release(item.owner)
            del item, result, error  # not kept alive until the next call

    def _settle(self, item: _WorkItem, result: object, error: BaseException | None) -> None:
        self._busy -= 1
        self._shares.release(item.owner)
        if item.outcome.done():
            return
        if error is None:
            item.outcome.set_result(result)
        else:
            item.outcome.set_exception(error)


def _outcome_of(item: _WorkItem) -> tuple[Any, BaseException | None]:
    try:
        return item.context.run(item.call), None
    except StopIteration as raised:  # which no future takes
        error = RuntimeError("the call raised StopIteration")
        error.__cause__ = raised
        return None, error
    except BaseException as raised:  # noqa: BLE001 - it is raised again where it is waited for
        return None, raised
