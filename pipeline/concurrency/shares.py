"""A number of equal places (threads, engines) that several owners share, so that none waits for all of another's work.

Places go to the waiting owner with the least virtual start time (start-time fair queueing: what each was given, in `cost` over its
weight), and within one owner to who came first. Owners that wait all the time are thus given the same to within one piece of work
for their weights, and one that comes anew is next, however much the others have brought. An owner of weight 0 has what
is left over: a place when nobody else waits for one.

For whom work is done is known wherever it is done: `work_for` tells the context, which threads and tasks inherit.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, TypeVar

from pipeline.concurrency.greenlet_io import Signal
from pipeline.errors import AccountBusy

LINE = 1000  # of one owner, that wait for a place
RETRY_AFTER = 5  # seconds


@dataclass(frozen=True)
class Owner:
    """For whom work is done; nobody in particular by default. One with twice the `weight` gets twice as much, one with none what
    nobody else waits for."""

    id: str = ""
    weight: int = 1


_NOBODY = Owner()
_OWNER: ContextVar[Owner] = ContextVar("owner", default=_NOBODY)


def work_for(owner: Owner) -> None:
    """What this context does from now on, and what it starts, is the owner's."""
    _OWNER.set(owner)


@contextmanager
def working_for(owner: Owner) -> Iterator[None]:
    """The same inside only."""
    token = _OWNER.set(owner)
    try:
        yield
    finally:
        _OWNER.reset(token)


def current_owner() -> Owner:
    """For whom this context works."""
    return _OWNER.get()


class _Waiter(Protocol):
    """Somebody who can be told to go on; `lost` where nobody can any more."""

    @property
    def lost(self) -> bool: ...

    def give(self) -> None: ...


Waiter = TypeVar("Waiter", bound=_Waiter)


@dataclass
class _Standing:
    """What one owner has, waits for, and has been given."""

    weight: int = 1
    held: int = 0
    start: float = 0.0  # the virtual time at which its next piece of work begins
    waiting: deque[tuple[int, float, _Waiter]] = field(default_factory=deque)  # arrival, cost, who


class Shares:
    """`total` places at once. Threads, greenlets and tasks take them, each for an owner.

    With `room_for_others` an owner takes another place only while it holds fewer than are free: alone it gets half of them, and
    who comes then need not wait until one of its calls ends. Without, places are never idle while anybody waits.
    """

    def __init__(self, total: int, *, room_for_others: bool = False, line: int = LINE) -> None:
        self.total = max(1, total)
        self._room_for_others = room_for_others
        self._line = line
        self._lock = threading.Lock()  # held for a moment, never while anybody waits
        self._free = self.total
        self._owners: dict[str, _Standing] = {}
        self._virtual_time = 0.0
        self._arrivals = count()
        self._waiting = 0

    def acquire(self, owner: Owner, cost: float = 1.0, *, seconds: float | None = None) -> bool:
        """Whether there was a place within so many seconds. Blocks the thread or greenlet. Raises AccountBusy."""
        signal = self._entered(owner, cost, Signal)
        if signal is None:
            return True
        try:
            return signal.wait(seconds) or not self._withdrawn(owner, signal)
        except BaseException:
            if not self._withdrawn(owner, signal) and not signal.lost:
                self.release(owner)
            raise

    async def acquire_async(self, owner: Owner, cost: float = 1.0) -> None:
        """Wait for a place; whoever is cancelled meanwhile has none. Raises AccountBusy."""
        signal = self._entered(owner, cost, _TaskSignal)
        if signal is None:
            return
        try:
            await signal.given
        except BaseException:
            if not self._withdrawn(owner, signal) and not signal.lost:
                self.release(owner)
            raise

    def release(self, owner: Owner) -> None:
        """Give a place back, to whoever is next."""
        with self._lock:
            self._owners[owner.id].held -= 1
            self._free += 1
            given = self._hand_out()
        for who, signal in given:
            signal.give()
            if signal.lost:
                self.release(who)

    def waiting(self) -> int:
        """How many wait, of all owners."""
        return self._waiting

    def _entered(self, owner: Owner, cost: float, make: Callable[[], Waiter]) -> Waiter | None:
        """None where there is a place at once; else who waits for it now, in its owner's line."""
        with self._lock:
            standing = self._owners.setdefault(owner.id, _Standing())
            standing.weight = max(0, owner.weight)
            if not standing.waiting:
                standing.start = max(standing.start, self._virtual_time)
                if self._may_take(standing):
                    self._take(standing, cost)
                    return None
            if len(standing.waiting) >= self._line:
                raise AccountBusy(retry_after=RETRY_AFTER)
            signal = make()
            standing.waiting.append((next(self._arrivals), cost, signal))
            self._waiting += 1
            return signal

    def _withdrawn(self, owner: Owner, signal: _Waiter) -> bool:
        """Wait no more. False where a place came in this moment."""
        with self._lock:
            waiting = self._owners[owner.id].waiting if owner.id in self._owners else ()
            for place in waiting:
                if place[2] is signal:
                    self._owners[owner.id].waiting.remove(place)
                    self._waiting -= 1
                    return True
            return False

    def _may_take(self, standing: _Standing) -> bool:
        return self._free > (standing.held if self._room_for_others else 0)

    def _take(self, standing: _Standing, cost: float) -> None:
        self._free -= 1
        standing.held += 1
        self._virtual_time = max(self._virtual_time, standing.start)
        standing.start += cost / max(1, standing.weight)

    def _hand_out(self) -> list[tuple[Owner, _Waiter]]:
        given: list[tuple[Owner, _Waiter]] = []
        while self._waiting and (key := self._next()) is not None:
            standing = self._owners[key]
            _, cost, signal = standing.waiting.popleft()
            self._waiting -= 1
            self._take(standing, cost)
            given.append((Owner(key, standing.weight), signal))
        if not self._waiting:
            self._forget()
        return given

    def _next(self) -> str | None:
        """The owner whose turn it is, of those that wait and may have another place."""
        ready = [
            (not one.weight, one.start, one.waiting[0][0], key)
            for key, one in self._owners.items()
            if one.waiting and self._may_take(one)
        ]
        return min(ready)[-1] if ready else None

    def _forget(self) -> None:
        """What was given while nobody had to wait for it is held against nobody."""
        self._owners = {key: one for key, one in self._owners.items() if one.held}
        for standing in self._owners.values():
            standing.start = 0.0
        self._virtual_time = 0.0


class _TaskSignal:
    """Given once, from any thread, to the task that waits for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.given: asyncio.Future[None] = self._loop.create_future()
        self.lost = False

    def give(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:  # the loop was closed
            self.lost = True

    def _set(self) -> None:
        if not self.given.done():
            self.given.set_result(None)
