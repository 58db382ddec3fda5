"""Waiting without a thread.

A request's work is written as plain calls, one after the other, and most of its time passes waiting for somebody else's machine.
Given a thread of its own it pays for that: two threads of one process trip over each other at Python's lock, and what one core has
in its caches the other has to fetch. With sixteen requests at once that was two fifths of all processor time.

`run_in_greenlet` runs such a call on the event loop's own thread: in a greenlet, which is left where it has to wait, and gone on
with by the very callback that says it need not wait any longer, while the loop serves others. Whatever the call may wait for asks
this module to wait; called anywhere else, the same functions block their thread. What has to block, or computes for long, is
handed to a thread after all by `run_in_thread`.
"""

from __future__ import annotations

import asyncio
import math
import select
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from greenlet import getcurrent, greenlet

Result = TypeVar("Result")


class Threads(Protocol):
    """Where calls go that have to block."""

    def __call__(self, call: Callable[[], Result], /) -> Awaitable[Result]: ...


def run_in_greenlet(call: Callable[[], Result], threads: Threads) -> asyncio.Future[Result]:
    """What the call returns or raises. It runs on this thread, and has begun when this returns; cancelled, it is cancelled where it
    waits."""
    task = _GreenletTask(call, threads)
    task.switch()
    return task.outcome


def run_in_thread(call: Callable[[], Result], *, short: bool = False) -> Result:
    """What the call returns or raises: in a thread for a greenlet, which waits; else at once.

    A `short` call, one that waits for nothing that another greenlet may have, does not queue up behind those that do.
    """
    task = getcurrent()
    if not isinstance(task, _GreenletTask):
        return call()
    suspension, within = _Suspension(task), partial(copy_context().run, call)
    done = task.loop.run_in_executor(None, within) if short else asyncio.ensure_future(task.threads(within))
    done.add_done_callback(suspension.resume)
    suspension.suspend()
    result: Result = done.result()
    return result


def sleep(seconds: float) -> None:
    """Do nothing for so long."""
    task = getcurrent()
    if isinstance(task, _GreenletTask):
        _Suspension(task).suspend(seconds)
    else:
        time.sleep(seconds)


def wait_until_ready(connection: socket.socket, event: int, seconds: float) -> None:
    """Until `select.POLLIN` or `POLLOUT` holds. Raises TimeoutError."""
    task = getcurrent()
    if isinstance(task, _GreenletTask):
        ready = _ready(task, connection.fileno(), event, seconds)
    else:
        poll = select.poll()
        poll.register(connection, event)
        ready = bool(poll.poll(math.ceil(1000 * seconds)))
    if not ready:
        raise TimeoutError


class Signal:
    """Given once, from any thread, to the thread or greenlet that has made it and waits for it."""

    def __init__(self) -> None:
        task = getcurrent()
        self._suspension = _Suspension(task) if isinstance(task, _GreenletTask) else None
        self._given = threading.Event()
        self.lost = False

    def give(self) -> None:
        """Let them go on; `lost` where nobody can any more, because the greenlet's loop was closed."""
        self._given.set()
        if self._suspension is not None:
            try:
                self._suspension.task.loop.call_soon_threadsafe(self._suspension.resume)
            except RuntimeError:
                self.lost = True

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it was given within so many seconds."""
        if self._suspension is not None and not self._given.is_set():
            self._suspension.suspend(seconds)
            seconds = 0
        return self._given.wait(seconds)


class _GreenletTask(greenlet):
    """A call under way on an event loop."""

    def __init__(self, call: Callable[[], Any], threads: Threads) -> None:
        super().__init__()
        self.gr_context = copy_context()
        self.loop, self.threads = asyncio.get_running_loop(), threads
        self.outcome: asyncio.Future[Any] = self.loop.create_future()
        self.outcome.add_done_callback(self._cancelled)
        self._call = call

    def run(self) -> None:
        """What the greenlet does."""
        try:
            result = self._call()
        except StopIteration as raised:  # which no future takes
            error = RuntimeError("the call raised StopIteration")
            error.__cause__ = raised
            self._fail(error)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where it is waited for
            self._fail(raised)
        else:
            if not self.outcome.done():
                self.outcome.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def _cancelled(self, outcome: asyncio.Future[Any]) -> None:
        if outcome.cancelled() and not self.dead:
            self.throw(asyncio.CancelledError)


class _Suspension:
    """One greenlet that waits once."""

    def __init__(self, task: _GreenletTask) -> None:
        self.task = task
        self._over = self._begun = False

    def suspend(self, seconds: float | None = None) -> bool:
        """Leave the greenlet until `resume`, or for so many seconds; whether it was `resume`."""
        if self._over:
            return True
        assert self.task.parent is not None
        timer = None if seconds is None else self.task.loop.call_later(seconds, self._time_out)
        self._begun = True
        try:
            return bool(self.task.parent.switch())
        finally:
            self._over = True
            if timer is not None:
                timer.cancel()

    def resume(self, _: object = None) -> None:
        """It need not wait any longer; called on the loop's thread."""
        self._go_on(in_time=True)

    def _time_out(self) -> None:
        self._go_on(in_time=False)

    def _go_on(self, *, in_time: bool) -> None:
        if self._over:
            return
        self._over = True
        if self._begun:
            self.task.switch(in_time)


def _ready(task: _GreenletTask, descriptor: int, event: int, seconds: float) -> bool:
    """Whether something could be read from the descriptor, or written to it, in time."""
    loop, suspension = task.loop, _Suspension(task)
    if event == select.POLLIN:
        loop.add_reader(descriptor, suspension.resume)
        remove = loop.remove_reader
    else:
        loop.add_writer(descriptor, suspension.resume)
        remove = loop.remove_writer
    try:
        return suspension.suspend(seconds)
    finally:
        remove(descriptor)
