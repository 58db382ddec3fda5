"""Threads for the work behind busy routes.

What `anyio.to_thread` can do besides (capacities that are shared and changed, cancellation that reaches into the thread) every
request would pay for. This is the rest: a queue, threads, and a future.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")


class _WorkItem(NamedTuple):
    call: Callable[[], Any]
    context: Context
    loop: asyncio.AbstractEventLoop
    outcome: asyncio.Future[Any]


class ThreadPool:
    """At most `size` threads, started when they are needed; calls that find none free wait their turn.

    The threads are daemons: a call that hangs keeps no process from ending.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = size, name
        self._queue: SimpleQueue[_WorkItem | None] = SimpleQueue()
        self._started = 0
        self._busy = 0  # calls handed out and not done: changed by the loop's own thread alone

    async def run(self, call: Callable[[], Result]) -> Result:
        """What the call returns or raises. Who is cancelled meanwhile leaves it to itself; it is seen to its end."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Result] = loop.create_future()
        self._busy += 1
        if self._busy > self._started and self._started < self._size:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._queue.put(_WorkItem(call, copy_context(), loop, outcome))
        return await outcome

    def close(self) -> None:
        """Let the threads go, each after what it is at."""
        for _ in range(self._started):
            self._queue.put(None)

    def _work(self) -> None:
        while item := self._queue.get():
            result, error = _outcome_of(item)
            with suppress(RuntimeError):  # the loop was closed, and nobody waits
                item.loop.call_soon_threadsafe(self._settle, item.outcome, result, error)
            del item, result, error  # not kept alive until the next call

    def _settle(self, outcome: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        self._busy -= 1
        if outcome.done():
            return
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)


def _outcome_of(item: _WorkItem) -> tuple[Any, BaseException | None]:
    try:
        return item.context.run(item.call), None
    except StopIteration as raised:  # which no future takes
        error = RuntimeError("the call raised StopIteration")
        error.__cause__ = raised
        return None, error
    except BaseException as raised:  # noqa: BLE001 - it is raised again where it is waited for
        return None, raised
