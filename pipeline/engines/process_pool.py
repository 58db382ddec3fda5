"""Warm child processes for engines that hold the GIL, keep global state, or are large.

An `EnginePool` makes one object of a class per process and calls its methods there:

    pool = EnginePool(EngineSpec("pocketsphinx", "pipeline.providers.pocketsphinx:Recogniser", processes=2))
    words = pool.call("decode", pcm, timeout=60)

Processes are started when first needed, each a fresh interpreter (nothing is forked, so threads, locks and Celery's
daemonic workers do not matter). They die with this process whatever kills it; see `child_process`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from pipeline.concurrency.shares import Owner, Shares, current_owner
from pipeline.concurrency.stopping import stop_if_unwanted
from pipeline.engines import wire
from pipeline.engines.engine_process import EngineProcess
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.errors import EngineLost, ProviderBusy, ProviderError, UnsupportedValue

_LOG = logging.getLogger(__name__)
_TRIES = 2  # of a call whose process died


class EnginePool:
    """The processes of one engine, as an `Engine`."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._fill()
        _POOLS.add(self)

    def _fill(self) -> None:
        self._closed = False
        self._lock = threading.Lock()
        self._working: set[EngineProcess] = set()
        self.shares, self._quick = Shares(max(1, self.spec.processes)), Shares(1)
        self._idle: list[EngineProcess] = []  # the last one used is the next

    @property
    def has_line(self) -> bool:
        """It is ours alone."""
        return False

    def call(self, method: str, *arguments: Any, timeout: float, cost: float = 1.0) -> Any:
        """As `Engine.call`."""
        with self.turn(current_owner(), cost):
            return self.work(method, arguments, timeout)

    def each(
        self, method: str, pieces: Sequence[Any], *arguments: Any, together: int, timeout: float, costs: Sequence[float]
    ) -> Iterator[Any]:
        """As `Engine.each`."""
        done = 0
        while done < len(pieces):
            stop_if_unwanted()
            with self.turn(current_owner(), costs[done]):
                now = pieces[done : done + self.at_once(together)]
                answers = self.work(method, (now, *arguments), timeout * len(now))
            done += len(now)
            yield from answers

    def at_once(self, together: int) -> int:
        """How many of so many pieces are given to the engine in one turn."""
        return 1 if self.shares.waiting() else together

    @contextmanager
    def turn(self, owner: Owner, cost: float) -> Iterator[None]:
        """A free process is ours inside. Raises ProviderBusy, AccountBusy."""
        given = self._given(owner, cost)
        try:
            yield
        finally:
            given.release(owner)

    def _given(self, owner: Owner, cost: float) -> Shares:
        """Of which shares there is a place now."""
        shares = self.shares
        if cost <= self.spec.quick:
            if shares.acquire(owner, cost, seconds=0):
                return shares
            shares = self._quick
        if not shares.acquire(owner, cost, seconds=self.spec.patience_s):
            raise ProviderBusy("All engines are busy", provider=self.spec.provider)
        return shares

    def work(self, method: str, arguments: Sequence[Any], timeout: float) -> Any:
        """In a turn: what the method comes to. Raises EngineLost, ProviderError."""
        for last in count(1):
            try:
                return self._asked({"method": method, "arguments": arguments}, timeout)
            except _ProcessDied as died:
                if last == _TRIES or self._closed:
                    raise EngineLost(provider=self.spec.provider) from died.__cause__
        raise AssertionError("unreachable: the last try returns or raises")

    def _asked(self, message: dict[str, Any], timeout: float) -> Any:
        process = self._borrow()
        try:
            answer = process.ask(message, time.monotonic() + timeout)
        except BaseException as error:
            self._give_back(process, usable=False)
            if isinstance(error, TimeoutError):
                raise self._lost("The engine took too long and was stopped") from error
            if isinstance(error, EOFError | OSError):
                raise _ProcessDied from error
            raise
        self._give_back(process, usable=not process.outgrown())
        return self._told(answer)

    def _told(self, answer: dict[str, Any]) -> Any:
        if "answer" in answer:
            return answer["answer"]
        error = wire.as_error(answer)
        if isinstance(error, ProviderError | UnsupportedValue):
            raise error
        _LOG.warning("the engine %s failed: %s", self.spec.provider, error)
        raise ProviderError("The engine failed", provider=self.spec.provider) from error

    def close(self) -> None:
        """End all processes, those at work too: their callers get EngineLost, as does everyone who calls later."""
        with self._lock:
            self._closed = True
            working = tuple(self._working)
        for process in working:
            process.kill()
        for idle in self._drained():
            idle.end()

    def __enter__(self) -> EnginePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _borrow(self) -> EngineProcess:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        return self._ready(process)

    def _ready(self, process: EngineProcess | None) -> EngineProcess:
        if process is not None and not process.alive():
            process.end()
            process = None
        process = process or self._started()
        with self._lock:
            if not self._closed:
                self._working.add(process)
                return process
        process.end()
        raise self._lost("The engines have been shut down")

    def _started(self) -> EngineProcess:
        if self._closed:
            raise self._lost("The engines have been shut down")
        try:
            return EngineProcess(self.spec)
        except OSError as error:
            raise self._lost("The engine's process could not be started") from error

    def _lost(self, why: str) -> EngineLost:
        return EngineLost(why, provider=self.spec.provider)

    def _give_back(self, process: EngineProcess, *, usable: bool) -> None:
        with self._lock:
            self._working.discard(process)
            keep = usable and not self._closed
            if keep:
                self._idle.append(process)
        if not keep:
            process.kill()
            process.end()

    def _forget(self) -> None:
        """After a fork the processes belong to the parent: drop our copies of their channels and begin anew."""
        for process in (*self._working, *self._idle):
            process.disown()
        self._fill()

    def _drained(self) -> list[EngineProcess]:
        with self._lock:
            drained, self._idle = self._idle, []
        return drained


class _ProcessDied(Exception):
    """Under a call, which may be made again."""


_POOLS: weakref.WeakSet[EnginePool] = weakref.WeakSet()


def _forget_after_fork() -> None:
    for pool in tuple(_POOLS):
        pool._forget()


os.register_at_fork(after_in_child=_forget_after_fork)
