"""An engine whose processes belong to nobody in particular: the API and the workers of a machine call it over one socket."""

from __future__ import annotations

import dataclasses
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.concurrency.shares import current_owner
from pipeline.concurrency.stopping import stop_if_unwanted
from pipeline.engines import wire
from pipeline.engines.door import Door
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.errors import EngineLost, ProviderError

_TRIES = 2  # of a call whose connection broke
_LOOK_MS = 250  # between two looks whether the answer is still wanted
_PASSAGE_S = 60.0  # for a message to pass, both being ready: whoever takes longer stands still
_MOST_IDLE = 16  # connections


class SharedEngine:
    """One of a machine's engines, as an `Engine`. Each call under way has a connection of its own."""

    def __init__(self, spec: EngineSpec, door: Door, *, has_line: bool = False) -> None:
        self._spec, self._door, self.has_line = spec, door, has_line
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._process = os.getpid()
        self._closed = False

    def call(self, method: str, *arguments: Any, timeout: float, cost: float = 1.0) -> Any:
        """As `Engine.call`."""
        return self._asked(self._message(method, arguments, None, timeout, cost))

    def each(
        self, method: str, pieces: Sequence[Any], *arguments: Any, together: int, timeout: float, costs: Sequence[float]
    ) -> Iterator[Any]:
        """As `Engine.each`. How many pieces are taken in a turn is known where the turns are."""
        done = 0
        while done < len(pieces):
            stop_if_unwanted()
            message = self._message(method, arguments, pieces[done : done + together], timeout, costs[done])
            answers = self._asked(message)
            done += len(answers)
            yield from answers

    def close(self) -> None:
        """Whoever waits gets EngineLost. The engine goes on for others, and ends with the last of them."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _message(
        self, method: str, arguments: Sequence[Any], pieces: Sequence[Any] | None, timeout: float, cost: float
    ) -> dict[str, Any]:
        owner = current_owner()
        return {
            "spec": dataclasses.asdict(self._spec),
            "method": method,
            "arguments": arguments,
            "pieces": pieces,
            "timeout": timeout,
            "cost": cost,
            "owner": owner.id,
            "weight": owner.weight,
        }

    def _asked(self, message: dict[str, Any]) -> Any:
        for _ in range(_TRIES):
            connection = self._connection()
            try:
                answer = self._exchanged(connection, message)
            except (OSError, EOFError):
                connection.close()
                continue
            except BaseException:
                connection.close()  # which takes back what was asked
                raise
            self._keep(connection)
            return self._told(answer)
        raise EngineLost(provider=self._spec.provider)

    def _exchanged(self, connection: socket.socket, message: dict[str, Any]) -> dict[str, Any]:
        connection.settimeout(_PASSAGE_S)
        wire.send(connection, message)
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        work = message["timeout"] * _TRIES * max(1, len(message["pieces"] or ()))
        until = time.monotonic() + self._spec.patience_s + work + _PASSAGE_S
        while not poll.poll(_LOOK_MS):
            stop_if_unwanted()
            self._check_open()
            if time.monotonic() > until:
                raise EngineLost("This machine's engines do not answer", provider=self._spec.provider)
        answer: dict[str, Any] = wire.receive(connection, time.monotonic() + _PASSAGE_S)
        return answer

    def _told(self, answer: dict[str, Any]) -> Any:
        if "answer" in answer:
            return answer["answer"]
        error = wire.as_error(answer)
        if isinstance(error, wire.EngineFault):
            raise ProviderError("The engine failed", provider=self._spec.provider) from error
        raise error

    def _connection(self) -> socket.socket:
        self._check_open()
        while (idle := self._taken()) is not None:
            if not wire.gone(idle):
                return idle
            idle.close()
        try:
            return self._door.connected()
        except EngineLost as error:
            raise EngineLost(error.message, provider=self._spec.provider) from error

    def _taken(self) -> socket.socket | None:
        with self._lock:
            if self._process != os.getpid():  # after a fork: the connections are our parent's
                self._process, self._idle = os.getpid(), []
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineLost("The engines have been shut down", provider=self._spec.provider)
