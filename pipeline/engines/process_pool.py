"""Warm child processes for engines that hold the GIL or keep global state.

An `EnginePool` makes one object of a class per process and calls its methods there:

    pool = EnginePool("pocketsphinx", "pipeline.providers.pocketsphinx:Recogniser", processes=2)
    words = pool.call("decode", pcm, timeout=60)

Processes are started when first needed, each a fresh interpreter (nothing is forked, so threads, locks and Celery's
daemonic workers do not matter). They die with this process whatever kills it; see `child_process`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from pipeline.concurrency.shares import Shares, current_owner
from pipeline.engines import child_process
from pipeline.errors import EngineLost, ProviderBusy, ProviderError

_CHILD = str(Path(child_process.__file__))
_GOODBYE_S = 2.0  # an idle engine ends at once when its channel closes


class EnginePool:
    """At most `processes` engines of one class; calls from any thread, each waiting for a free engine in its owner's turn."""

    def __init__(
        self, provider: str, target: str, arguments: tuple[Any, ...] = (), *, processes: int, patience_s: float = 600.0
    ) -> None:
        """`target` is "module:class". A caller waits `patience_s` seconds for a free engine, then gets ProviderBusy."""
        self.provider = provider
        self._start = (target, arguments)
        self._processes = max(1, processes)
        self._patience_s = patience_s
        self._fill()
        _POOLS.add(self)

    def _fill(self) -> None:
        self._closed = False
        self._lock = threading.Lock()
        self._working: set[_Engine] = set()
        self.shares = Shares(self._processes)
        self._idle: list[_Engine] = []  # the last one used is the next

    def call(self, method: str, *arguments: Any, timeout: float, cost: float = 1.0) -> Any:
        """What the engine's method returns or raises, within `timeout` seconds of work.

        `cost` is what it counts as among the owners who share the engines: seconds of sound, where there is any. Raises
        EngineLost when the process dies or overruns (a new one takes its place), ProviderBusy, AccountBusy, and ProviderError
        for any exception of the engine's that is not one of ours already.
        """
        owner = current_owner()
        if not self.shares.acquire(owner, cost, seconds=self._patience_s):
            raise ProviderBusy("All engines are busy", provider=self.provider)
        try:
            return self._called(method, arguments, timeout)
        finally:
            self.shares.release(owner)

    def _called(self, method: str, arguments: tuple[Any, ...], timeout: float) -> Any:
        engine = self._borrow()
        try:
            good, answer = engine.ask((method, arguments), time.monotonic() + timeout)
        except BaseException as error:
            self._give_back(engine, usable=False)
            if isinstance(error, TimeoutError):
                raise EngineLost("The engine took too long and was stopped", provider=self.provider) from error
            if isinstance(error, EOFError | OSError):
                raise EngineLost(provider=self.provider) from error
            raise
        self._give_back(engine, usable=True)
        if good:
            return answer
        if isinstance(answer, ProviderError):
            raise answer
        raise ProviderError("The engine failed", provider=self.provider) from answer

    def close(self) -> None:
        """End all engines, those at work too: their callers get EngineLost, as does everyone who calls later."""
        with self._lock:
            self._closed = True
            working = tuple(self._working)
        for engine in working:
            engine.kill()
        for idle in self._drained():
            idle.end()

    def __enter__(self) -> EnginePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _borrow(self) -> _Engine:
        with self._lock:
            engine = self._idle.pop() if self._idle else None
        return self._ready(engine)

    def _ready(self, engine: _Engine | None) -> _Engine:
        if engine is not None and not engine.alive():
            engine.end()
            engine = None
        engine = engine or self._started()
        with self._lock:
            if not self._closed:
                self._working.add(engine)
                return engine
        engine.end()
        raise self._shut_down()

    def _started(self) -> _Engine:
        if self._closed:
            raise self._shut_down()
        try:
            return _Engine(*self._start)
        except OSError as error:
            raise EngineLost("The engine's process could not be started", provider=self.provider) from error

    def _shut_down(self) -> EngineLost:
        return EngineLost("The engines have been shut down", provider=self.provider)

    def _give_back(self, engine: _Engine, *, usable: bool) -> None:
        with self._lock:
            self._working.discard(engine)
            keep = usable and not self._closed
            if keep:
                self._idle.append(engine)
        if not keep:
            engine.kill()
            engine.end()

    def _forget(self) -> None:
        """After a fork the engines belong to the parent: drop our copies of their channels and begin anew."""
        for engine in (*self._working, *self._idle):
            engine.disown()
        self._fill()

    def _drained(self) -> list[_Engine]:
        with self._lock:
            drained, self._idle = self._idle, []
        return drained


class _Engine:
    """One child process, with its channel and its parent pipe."""

    def __init__(self, target: str, arguments: tuple[Any, ...]) -> None:
        ours, theirs = socket.socketpair()
        parent_pipe_theirs, self._parent_pipe = os.pipe()
        self._channel = ours
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", _CHILD, str(theirs.fileno()), str(parent_pipe_theirs)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), parent_pipe_theirs),
                process_group=0,  # Ctrl-C in a terminal is for us; we end our engines when we are done with them
            )
            child_process.send(ours, (sys.path, target, arguments))
        except BaseException:
            self._let_go()
            raise
        finally:
            theirs.close()
            os.close(parent_pipe_theirs)

    def ask(self, message: Any, deadline: float) -> tuple[bool, Any]:
        """Send a call and wait for its answer. Raises TimeoutError, EOFError, OSError."""
        self._channel.settimeout(max(0.001, deadline - time.monotonic()))
        child_process.send(self._channel, message)
        answer: tuple[bool, Any] = child_process.receive(self._channel, deadline)
        return answer

    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """Close the channel, which an idle engine takes as goodbye, and reap the process."""
        self._let_go()
        try:
            self._process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def disown(self) -> None:
        """Forget a process that is not ours but our parent's."""
        self._let_go()
        self._process.returncode = 0  # it is not our child: Popen must neither wait for it nor warn about it

    def _let_go(self) -> None:
        self._channel.close()
        if self._parent_pipe >= 0:
            os.close(self._parent_pipe)
            self._parent_pipe = -1


_POOLS: weakref.WeakSet[EnginePool] = weakref.WeakSet()


def _forget_after_fork() -> None:
    for pool in tuple(_POOLS):
        pool._forget()


os.register_at_fork(after_in_child=_forget_after_fork)
