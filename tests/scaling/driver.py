"""Worker processes that follow the view: the part of KEDA, on one machine."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from sqlalchemy import text

from infra.database.session import Database
from tests.e2e.stack import Stack
from tests.scaling.policy import Policy, Scaler

_LOAD = text("SELECT role, SUM(waiting_audio_seconds + running_audio_seconds) FROM stenopool_load GROUP BY role")


def load(database: Database) -> dict[str, float]:
    """Seconds of sound that wait or are in work, by role."""
    with database.read() as session:
        return {role: float(seconds) for role, seconds in session.execute(_LOAD)}


@dataclass
class Driver:
    """Looks, and starts or stops workers. Call `look` from the main thread: a worker dies with the thread that started it."""

    stack: Stack
    policies: Mapping[str, Policy]
    running: dict[str, list[str]] = field(default_factory=dict)
    exits: Counter[int] = field(default_factory=Counter)
    most: dict[str, int] = field(default_factory=dict)  # that ran at once
    _leaving: list[threading.Thread] = field(default_factory=list)
    _names: count[int] = field(default_factory=count)
    _scalers: dict[str, Scaler] = field(default_factory=dict)

    def start(self) -> None:
        """The least of each role, and the scheduler."""
        self.stack.start("scheduler")
        for role, policy in self.policies.items():
            self._scalers[role] = Scaler(policy)
            self.running[role] = []
            self._become(role, policy.least)

    def look(self) -> None:
        """Once."""
        loads = load(self.stack.services.database)
        for role, scaler in self._scalers.items():
            self._become(role, scaler.decide(time.monotonic(), loads.get(role, 0.0)))

    def until(self, true: Callable[[], bool], *, every: float, seconds: float) -> None:
        """Look until it is so. Fails after so many seconds."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {load(self.stack.services.database)}"
            self.look()
            time.sleep(every)

    def settle(self) -> None:
        """Those that were told to stop have ended."""
        for thread in self._leaving:
            thread.join()
        self._leaving.clear()

    def _become(self, role: str, wanted: int) -> None:
        names = self.running[role]
        new = [f"{role}-{next(self._names)}" for _ in range(wanted - len(names))]
        if new:
            self.stack.start(*new)
            names += new
        self.most[role] = max(self.most.get(role, 0), len(names))
        while len(names) > wanted:
            thread = threading.Thread(target=self._stop, args=(names.pop(),))
            thread.start()
            self._leaving.append(thread)

    def _stop(self, name: str) -> None:
        self.exits[self.stack.terminate(name)] += 1
