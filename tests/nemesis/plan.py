"""What is done to an installation, to whom and when: drawn from a seed, so that the same seed is the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WHOLE = 120.0  # seconds of a run in which outages last as long as they are said to; in a shorter one they are shorter
OUTAGES_WITHIN = (0.05, 0.90)  # of the run
BLOWS_WITHIN = (0.02, 0.95)
BETWEEN_BLOWS = (1.5, 6.0)  # seconds


@dataclass(frozen=True)
class Fault:
    """`what` is a key of the world's faults; it lasts for `seconds` from `at` on, 0 for what only happens."""

    at: float
    what: str
    whom: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.whom + ' ' if self.whom else ''}{self.what}{lasts}"


@dataclass(frozen=True)
class Outage:
    """One of the long faults, which come `times` times in every run."""

    what: str
    seconds: float
    times: int = 1


@dataclass(frozen=True)
class Blow:
    """One of the short faults, of which some are drawn: `weight` says how often, `whom` from whom one is chosen."""

    what: str
    weight: int
    seconds: tuple[float, float] = (0.0, 0.0)
    whom: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Script:
    """What can befall one kind of installation."""

    outages: tuple[Outage, ...]
    blows: tuple[Blow, ...]


IO = ("io-1", "io-2")
ROLES = ("api-1", "api-2", "cpu-1", "cpu-2", *IO, "scheduler")

CLUSTER = Script(
    outages=(
        Outage("PostgreSQL stopped", 9.0, times=3),
        Outage("S3 refuses", 20.0),
        Outage("provider refuses", 60.0),
        Outage("S3 full", 15.0),
        Outage("disk full", 15.0),
    ),
    blows=(
        Blow("killed", 10, (0.5, 3.0), ROLES),
        Blow("child killed", 3, whom=("cpu-1", "cpu-2")),
        Blow("frozen", 5, (1.0, 9.0), ROLES),
        Blow("database out of reach", 3, (3.0, 12.0), ROLES),
        Blow("database connections cut", 1),
        Blow("database slow", 1, (2.0, 6.0)),
        Blow("S3 slow", 1, (3.0, 8.0)),
        Blow("S3 stalled", 1, (2.0, 6.0)),
        Blow("Redis flushed", 2),
        Blow("Redis restarted empty", 2, (0.5, 2.0)),
        Blow("Redis frozen", 1, (1.0, 5.0)),
        Blow("Redis out of reach", 1, (1.0, 5.0)),
        Blow("receiver refuses", 2, (2.0, 6.0)),
    ),
)
PARTS = ("api", "cpu", "io", "scheduler")
EMBEDDED = Script(
    outages=(Outage("provider refuses", 60.0), Outage("disk full", 15.0)),
    blows=(
        Blow("killed", 6, whom=PARTS),
        Blow("killed", 1, (0.5, 3.0), ("up",)),
        Blow("child killed", 2, whom=("cpu",)),
        Blow("frozen", 4, (1.0, 9.0), PARTS),
        Blow("Redis killed and emptied", 4),
        Blow("Redis flushed", 2),
        Blow("Redis frozen", 1, (1.0, 5.0)),
        Blow("receiver refuses", 2, (2.0, 6.0)),
    ),
)
COSTS_CALLS = ("killed", "frozen", "database out of reach")  # of an io worker: others have to make its calls again


def plan(script: Script, seed: int, duration: float) -> tuple[Fault, ...]:
    """In order of time. With an even seed the io workers of a cluster are spared whatever costs them their calls."""
    draw = random.Random(seed)
    found = [*_outages(script.outages, draw, duration), *_blows(script.blows, draw, duration, spare_io=seed % 2 == 0)]
    return tuple(sorted(found, key=lambda fault: fault.at))


def costs_calls(faults: Sequence[Fault]) -> bool:
    """Whether it has to be expected that a provider is asked again for what it has answered."""
    return any(fault.what in COSTS_CALLS and fault.whom in (*IO, "io", "up") for fault in faults)


def _outages(outages: Sequence[Outage], draw: random.Random, duration: float) -> Iterator[Fault]:
    first, last = (share * duration for share in OUTAGES_WITHIN)
    for outage in outages:
        seconds, part = outage.seconds * min(1.0, duration / WHOLE), (last - first) / outage.times
        for nth in range(outage.times):
            begin = first + nth * part
            yield Fault(draw.uniform(begin, begin + part - seconds), outage.what, seconds=seconds)


def _blows(blows: Sequence[Blow], draw: random.Random, duration: float, *, spare_io: bool) -> Iterator[Fault]:
    """None befalls whom another one still does."""
    at, last = (share * duration for share in BLOWS_WITHIN)
    free: dict[str, float] = {}
    while (at := at + draw.uniform(*BETWEEN_BLOWS)) < last:
        (blow,) = draw.choices(blows, [blow.weight for blow in blows])
        whom, seconds = draw.choice(blow.whom), min(draw.uniform(*blow.seconds), last - at)
        if spare_io and whom in IO and blow.what in COSTS_CALLS:
            continue
        befalls = whom or blow.what.split()[0]
        if free.get(befalls, 0.0) <= at:
            free[befalls] = at + seconds
            yield Fault(at, blow.what, whom, seconds)
