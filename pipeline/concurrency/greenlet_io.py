"""Waiting without a thread.

A request's work is written as plain calls, one after the other, and most of its time passes waiting for somebody else's machine.
Given a thread of its own it pays for that: two threads of one process trip over each other at Python's lock, and what one core has
in its caches the other has to fetch. With sixteen requests at once that was two fifths of all processor time.

`attended` runs such a call on the event loop's own thread, as an errand: a greenlet, which is left where it has to wait, and gone
on with by the very callback that says it need not wait any longer, while the loop serves others. Whatever an errand may wait for
asks this module to wait; called anywhere else, the same functions block their thread. What has to block, or computes for long, is
handed to a thread after all by `elsewhere`.
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


def attended(call: Callable[[], Result], threads: Threads) -> asyncio.Future[Result]:
    """What the call returns or raises. It runs on this thread, and has begun when this returns; cancelled, it is cancelled where it
    waits."""
    errand = _Errand(call, threads)
    errand.switch()
    return errand.outcome


def elsewhere(call: Callable[[], Result], *, short: bool = False) -> Result:
    """What the call returns or raises: in a thread for an errand, which waits; else at once.

    A `short` call, one that waits for nothing that another errand may have, does not queue up behind those that do.
    """
    errand = getcurrent()
    if not isinstance(errand, _Errand):
        return call()
    waiting, within = _Waiting(errand), partial(copy_context().run, call)
    done = errand.loop.run_in_executor(None, within) if short else asyncio.ensure_future(errand.threads(within))
    done.add_done_callback(waiting.end)
    waiting.last()
    result: Result = done.result()
    return result


def pause(seconds: float) -> None:
    """Do nothing for so long."""
    errand = getcurrent()
    if isinstance(errand, _Errand):
        _Waiting(errand).last(seconds)
    else:
        time.sleep(seconds)


def until_ready(connection: socket.socket, event: int, seconds: float) -> None:
    """Until `select.POLLIN` or `POLLOUT` holds. Raises TimeoutError."""
    errand = getcurrent()
    if isinstance(errand, _Errand):
        ready = _ready(errand, connection.fileno(), event, seconds)
    else:
        poll = select.poll()
        poll.register(connection, event)
        ready = bool(poll.poll(math.ceil(1000 * seconds)))
    if not ready:
        raise TimeoutError


class Signal:
    """Given once, from any thread, to the thread or errand that has made it and waits for it."""

    def __init__(self) -> None:
        errand = getcurrent()
        self._waiting = _Waiting(errand) if isinstance(errand, _Errand) else None
        self._given = threading.Event()
        self.lost = False

    def give(self) -> None:
        """Let them go on; `lost` where nobody can any more, because the errand's loop was closed."""
        self._given.set()
        if self._waiting is not None:
            try:
                self._waiting.errand.loop.call_soon_threadsafe(self._waiting.end)
            except RuntimeError:
                self.lost = True

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it was given within so many seconds."""
        if self._waiting is not None and not self._given.is_set():
            self._waiting.last(seconds)
            seconds = 0
        return self._given.wait(seconds)


class _Errand(greenlet):
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


class _Waiting:
    """One errand that waits once."""

    def __init__(self, errand: _Errand) -> None:
        self.errand = errand
        self._over = self._begun = False

    def last(self, seconds: float | None = None) -> bool:
        """Leave the errand until `end`, or for so many seconds; whether it was `end`."""
        if self._over:
            return True
        assert self.errand.parent is not None
        timer = None if seconds is None else self.errand.loop.call_later(seconds, self._late)
        self._begun = True
        try:
            return bool(self.errand.parent.switch())
        finally:
            self._over = True
            if timer is not None:
                timer.cancel()

    def end(self, _: object = None) -> None:
        """It need not wait any longer; called on the loop's thread."""
        self._go_on(in_time=True)

    def _late(self) -> None:
        self._go_on(in_time=False)

    def _go_on(self, *, in_time: bool) -> None:
        if self._over:
            return
        self._over = True
        if self._begun:
            self.errand.switch(in_time)


def _ready(errand: _Errand, descriptor: int, event: int, seconds: float) -> bool:
    """Whether something could be read from the descriptor, or written to it, in time."""
    loop, waiting = errand.loop, _Waiting(errand)
    if event == select.POLLIN:
        loop.add_reader(descriptor, waiting.end)
        remove = loop.remove_reader
    else:
        loop.add_writer(descriptor, waiting.end)
        remove = loop.remove_writer
    try:
        return waiting.last(seconds)
    finally:
        remove(descriptor)
