"""The process that holds a machine's engines: all who call them do so here, and take turns by one account of who was given what.

It computes nothing itself: each engine has processes of its own below it (`EnginePool`), so that the crash of one ends no other,
and one call at most. Whoever needs it first starts it (`door`); it ends when nobody is connected any more.

A caller that hangs up while it waits is left out, and nothing is done for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from pipeline.concurrency.shares import Owner
from pipeline.engines import wire
from pipeline.engines.door import clear_away
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.engines.process_pool import EnginePool
from pipeline.errors import StenopoolError

LINGER_S = 1.0  # after the last caller has gone
_FIRST_S = 30.0  # for the first caller to come
_LOOK_S = 0.2
_BACKLOG = 128


def main(path: str) -> None:
    """Listen there, away from whoever started it: a worker that ends, or is killed with its group, takes no engine with it."""
    if os.fork():
        os._exit(0)
    listener = listening(path)
    try:
        EngineHost(listener).serve()
        clear_away(path)
    finally:
        os._exit(0)  # whatever a thread still waits for


def listening(path: str) -> socket.socket:
    """A socket that its owner alone can open."""
    listener = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()  # of one that was killed; who starts us holds the lock
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener


class EngineHost:
    """Engines by what they are, and whoever is connected."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._pools: dict[str, EnginePool] = {}
        self._lock = threading.Lock()
        self._callers: set[socket.socket] = set()
        self._alone_since = time.monotonic() + _FIRST_S - LINGER_S

    def serve(self) -> None:
        """Until nobody is connected any more."""
        self._listener.settimeout(_LOOK_S)
        while not self._left_alone():
            with contextlib.suppress(TimeoutError):
                caller, _ = self._listener.accept()
                with self._lock:
                    self._callers.add(caller)
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()
        self._listener.close()  # from here on whoever comes is refused, and starts another one
        for pool in self._pools.values():
            pool.close()

    def _left_alone(self) -> bool:
        """Whether it has been long enough; work that is under way for somebody who has left keeps nothing."""
        with self._lock:
            if any(not wire.gone(caller) for caller in self._callers):
                self._alone_since = time.monotonic()
            return time.monotonic() - self._alone_since > LINGER_S

    def _serve(self, caller: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError, EOFError):
                wire.send(caller, {"pid": os.getpid()})
                while True:
                    self._answer(caller, wire.receive(caller))
        finally:
            with self._lock:
                self._callers.discard(caller)
            caller.close()

    def _answer(self, caller: socket.socket, call: dict[str, Any]) -> None:
        try:
            answer = {"answer": self._called(caller, call)}
        except StenopoolError as error:
            answer = wire.told(error)
        wire.send(caller, answer)

    def _called(self, caller: socket.socket, call: dict[str, Any]) -> Any:
        pool, arguments = self._pool(call["spec"]), call["arguments"]
        with pool.turn(Owner(call["owner"], call["weight"]), call["cost"]):
            if wire.gone(caller):
                raise EOFError
            if call["pieces"] is None:
                return pool.work(call["method"], arguments, call["timeout"])
            now = call["pieces"][: pool.at_once(len(call["pieces"]))]
            return pool.work(call["method"], (now, *arguments), call["timeout"] * len(now))

    def _pool(self, spec: dict[str, Any]) -> EnginePool:
        """The one of the first who asked for this engine: how many processes it has is that one's word."""
        key = json.dumps([spec["target"], spec["arguments"], spec["network"]])
        with self._lock:
            if key not in self._pools:
                self._pools[key] = EnginePool(EngineSpec(**spec))
            return self._pools[key]
