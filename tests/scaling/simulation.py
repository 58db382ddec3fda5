"""An installation as discrete events: clips and archives, two lanes, workers that come and go, cores that all of them share.

What a step costs of a processor is measured (`measure.py`); how long a provider takes is given. Lanes are served as the claim
does: archives have what is left over. It predicts how long jobs take from their acceptance to their end.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count

import simpy

from tests.scaling.policy import Policy, Scaler

Steps = Generator[simpy.Event, object, None]
NORMAL, ARCHIVE = 0, 1  # the least is served first


@dataclass(frozen=True)
class Costs:
    """Seconds of a processor: to prepare a clip, to send one chunk and store its answer, to finish a job; to decode and cut an
    archive for each of its chunks. `start`: of the clock, until a new worker takes work."""

    prepare: float
    hear: float
    finish: float
    cut: float
    start: float


@dataclass(frozen=True)
class Work:
    """What comes: clips of one chunk, and archives of many. The provider answers after `latency` seconds, give or take `spread`."""

    clips: int
    archives: int
    chunks: int  # of each archive
    latency: float
    spread: float = 0.0
    interval: float = 0.0  # seconds between two clips
    clip_ms: int = 1000
    chunk_ms: int = 4000


@dataclass(frozen=True)
class House:
    """`slots`: pieces of work that one worker of a role does at once."""

    cores: int
    slots: dict[str, int]
    policies: dict[str, Policy]
    look: float = 1.0  # seconds between two looks at the load


@dataclass
class Pool:
    """The workers of a role: whoever waits is served by lane, then by turn."""

    env: simpy.Environment
    slots: int
    busy: int = 0
    running_ms: int = 0
    _waiting: list[tuple[int, int, simpy.Event, int]] = field(default_factory=list)
    _turn: count[int] = field(default_factory=count)

    @property
    def load(self) -> float:
        """Seconds of sound that wait or are in work, as the view tells them."""
        return (self.running_ms + sum(cost for *_, cost in self._waiting)) / 1000

    def resize(self, slots: int) -> None:
        """What is under way ends where it is."""
        self.slots = slots
        self._serve()

    def enter(self, lane: int, cost_ms: int) -> simpy.Event:
        """A place, once it has come."""
        place = self.env.event()
        heapq.heappush(self._waiting, (lane, next(self._turn), place, cost_ms))
        self._serve()
        return place

    def leave(self, cost_ms: int) -> None:
        self.busy -= 1
        self.running_ms -= cost_ms
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self.busy < self.slots:
            *_, place, cost = heapq.heappop(self._waiting)
            self.busy += 1
            self.running_ms += cost
            place.succeed()


class Simulation:
    """One run of `work` through `house`."""

    def __init__(self, work: Work, house: House, costs: Costs, seed: int = 1) -> None:
        self.env = simpy.Environment()
        self._work, self._house, self._costs = work, house, costs
        self._dice = random.Random(seed)
        self._cores = simpy.Resource(self.env, house.cores)
        self._pools = {role: Pool(self.env, house.policies[role].least * slots) for role, slots in house.slots.items()}
        self.took: dict[int, list[float]] = defaultdict(list)
        self.workers: dict[str, list[int]] = defaultdict(list)  # at each look

    def run(self) -> Simulation:
        """Until all of it is done."""
        jobs = [self.env.process(self._clip(number)) for number in range(self._work.clips)]
        jobs += [self.env.process(self._archive()) for _ in range(self._work.archives)]
        for role in self._pools:
            self.env.process(self._scale(role))
        self.env.run(until=simpy.AllOf(self.env, jobs))
        return self

    def _clip(self, number: int) -> Steps:
        yield self.env.timeout(number * self._work.interval)
        began, ms = self.env.now, self._work.clip_ms
        yield from self._step("cpu", NORMAL, 1000 + ms + ms // 20, self._costs.prepare)
        yield from self._hear(NORMAL, ms)
        yield from self._step("cpu", NORMAL, 1000 + ms // 100, self._costs.finish)
        self.took[NORMAL].append(self.env.now - began)

    def _archive(self) -> Steps:
        """Its chunks are heard while the rest of it is still being cut."""
        began, ms = self.env.now, self._work.chunks * self._work.chunk_ms
        cost = 1000 + min(ms, 60_000) + ms // 20
        yield self._pools["cpu"].enter(ARCHIVE, cost)
        heard = []
        for _ in range(self._work.chunks):
            yield from self._compute(self._costs.cut)
            heard.append(self.env.process(self._hear(ARCHIVE, self._work.chunk_ms)))
        self._pools["cpu"].leave(cost)
        yield simpy.AllOf(self.env, heard)
        yield from self._step("cpu", ARCHIVE, 1000 + ms // 100, self._costs.finish)
        self.took[ARCHIVE].append(self.env.now - began)

    def _hear(self, lane: int, ms: int) -> Steps:
        yield self._pools["io"].enter(lane, 1000 + ms)
        yield from self._compute(self._costs.hear)
        spread = self._work.spread
        yield self.env.timeout(self._work.latency + self._dice.uniform(-spread, spread))
        self._pools["io"].leave(1000 + ms)

    def _step(self, role: str, lane: int, cost_ms: int, seconds: float) -> Steps:
        yield self._pools[role].enter(lane, cost_ms)
        yield from self._compute(seconds)
        self._pools[role].leave(cost_ms)

    def _compute(self, seconds: float) -> Steps:
        with self._cores.request() as core:
            yield core
            yield self.env.timeout(seconds)

    def _scale(self, role: str) -> Steps:
        policy, slots, pool = self._house.policies[role], self._house.slots[role], self._pools[role]
        scaler, there = Scaler(policy), policy.least
        while True:
            wanted = scaler.decide(self.env.now, pool.load)
            self.workers[role].append(wanted)
            if wanted < there:
                pool.resize(pool.slots - (there - wanted) * slots)
            elif wanted > there:
                self.env.process(self._come(pool, (wanted - there) * slots))
            there = wanted
            yield self.env.timeout(self._house.look)

    def _come(self, pool: Pool, slots: int) -> Steps:
        yield self.env.timeout(self._costs.start)
        pool.resize(pool.slots + slots)


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
