"""Waiting without a thread.

A request's work is written as plain calls, one after the other, and most of its time passes waiting for somebody else's machine.
Given a thread of its own it pays for that: two threads of one process trip over each other at Python's lock, and what one core has
in its caches the other has to fetch. With sixteen requests at once that was two fifths of all processor time.

`attended` runs such a call on the event loop's own thread, as an errand: a greenlet, which is left where it has to wait and gone on
with when it need not wait any longer, while the loop serves others. That is how SQLAlchemy brings its own plain code to asyncio.
Whatever an errand may wait for asks this module to wait; called anywhere else, the same functions block their thread. What has to
block, or computes for long, is handed to a thread after all by `elsewhere`.
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


async def attended(call: Callable[[], Result], threads: Threads) -> Result:
    """What the call returns or raises; it runs on this thread. Who is cancelled meanwhile cancels it where it waits."""
    errand = _Errand(call, threads)
    given = errand.switch()
    while not errand.dead:
        try:
            result = await given
        except BaseException as error:  # noqa: BLE001 - it is the errand's, which waits for what failed
            given = errand.throw(error)
        else:
            given = errand.switch(result)
    outcome: Result = given
    return outcome


def elsewhere(call: Callable[[], Result]) -> Result:
    """What the call returns or raises: in a thread for an errand, which waits; else at once."""
    errand = getcurrent()
    if not isinstance(errand, _Errand):
        return call()
    result: Result = errand.leave(errand.threads(partial(copy_context().run, call)))
    return result


def pause(seconds: float) -> None:
    """Do nothing for so long."""
    errand = getcurrent()
    if isinstance(errand, _Errand):
        errand.wait(errand.loop.create_future(), seconds)
    else:
        time.sleep(seconds)


def until_ready(connection: socket.socket, event: int, seconds: float) -> None:
    """Until `select.POLLIN` or `POLLOUT` holds. Raises TimeoutError."""
    errand = getcurrent()
    if isinstance(errand, _Errand):
        ready = errand.until_ready(connection.fileno(), event, seconds)
    else:
        poll = select.poll()
        poll.register(connection, event)
        ready = bool(poll.poll(math.ceil(1000 * seconds)))
    if not ready:
        raise TimeoutError


class Signal:
    """Given once, from any thread, to one who waits for it: a thread or an errand."""

    def __init__(self) -> None:
        errand = getcurrent()
        self._errand = errand if isinstance(errand, _Errand) else None
        self._given: asyncio.Future[bool] | threading.Event
        self._given = self._errand.loop.create_future() if self._errand else threading.Event()

    def give(self) -> None:
        """Let them go on."""
        if isinstance(self._given, threading.Event):
            self._given.set()
        elif self._errand is not None:
            self._errand.loop.call_soon_threadsafe(_tell, self._given, True)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it was given within so many seconds; for whoever made the signal."""
        if isinstance(self._given, threading.Event):
            return self._given.wait(seconds)
        assert self._errand is not None
        return self._errand.wait(self._given, seconds)


class _Errand(greenlet):
    """A call under way on an event loop."""

    def __init__(self, call: Callable[[], Any], threads: Threads) -> None:
        super().__init__(call)
        self.gr_context = copy_context()
        self.loop, self.threads = asyncio.get_running_loop(), threads

    def leave(self, until: Awaitable[Any]) -> Any:
        """Let the loop go on; what comes of the awaitable."""
        assert self.parent is not None
        return self.parent.switch(until)

    def wait(self, future: asyncio.Future[bool], seconds: float | None) -> bool:
        """Whether the future was told in time."""
        timer = None if seconds is None else self.loop.call_later(seconds, _tell, future, False)
        try:
            return bool(self.leave(future))
        finally:
            if timer is not None:
                timer.cancel()

    def until_ready(self, descriptor: int, event: int, seconds: float) -> bool:
        """Whether something could be read from the descriptor, or written to it, in time."""
        future = self.loop.create_future()
        if event == select.POLLIN:
            add, remove = self.loop.add_reader, self.loop.remove_reader
        else:
            add, remove = self.loop.add_writer, self.loop.remove_writer
        add(descriptor, _tell, future, True)
        try:
            return self.wait(future, seconds)
        finally:
            remove(descriptor)


def _tell(future: asyncio.Future[bool], what: bool) -> None:
    if not future.done():
        future.set_result(what)
