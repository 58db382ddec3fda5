"""One run: an installation, its customers, the plan, and quiet until all is done."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from sqlalchemy import func, select
from sqlmodel import col

from infra.database.tables.jobs import Chunk, Job
from infra.wiring import Services
from pipeline.lifecycle import TERMINAL
from tests.nemesis.cluster import Cluster, cluster
from tests.nemesis.customers import Customers, Order, orders
from tests.nemesis.embedded import Embedded, embedded
from tests.nemesis.plan import Fault, costs_calls, plan
from tests.nemesis.roles import processor_seconds
from tests.nemesis.surroundings import Surroundings, surroundings
from tests.nemesis.verdict import Line, told, verdict
from tests.support.accounts import rich

LOOK = 0.05  # seconds
START = 120.0  # seconds, of a whole installation on a busy machine
FAILING = 0.2  # of the provider's calls, all the time
Installation = Cluster | Embedded
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """`drained` is how long after the last fault all must be done; after `patience` seconds nobody waits any more."""

    seed: int
    duration: float
    jobs: int = 100
    embedded: bool = False
    drained: float = 30.0
    patience: float = 300.0

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The same for the same seed and duration."""
        return plan((Embedded if self.embedded else Cluster).script, self.seed, self.duration)


def perform(run: Run, say: Say = print) -> list[Line]:
    """Every line of the verdict. Call it in the main thread."""
    with tempfile.TemporaryDirectory(prefix="nemesis-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        with surroundings(folder, run.seed) as around, _installed(run, around) as installation:
            return _performed(run, around, installation, say)


@contextmanager
def _installed(run: Run, around: Surroundings) -> Iterator[Installation]:
    with (embedded if run.embedded else cluster)(around) as installation:
        yield installation


def _performed(run: Run, around: Surroundings, installation: Installation, say: Say) -> list[Line]:
    services = installation.services
    key = services.accounts.create_key(rich(services.database, "nemesis"))[0]
    ordered = orders(run.seed, run.jobs, run.duration)
    customers = Customers(ordered, installation.ports, key, around.hook)
    _wait(installation, lambda: _is_ready(installation), START)
    around.provider.failing = FAILING
    with customers.sending():
        _befall(installation, run, say)
        quiet = time.monotonic()
        installation.heal()
        say(f"{run.duration:7.1f}  quiet; {_state(services)}")
        used = processor_seconds([*installation.processes(), psutil.Process()])
        done = _wait(installation, lambda: customers.are_done and _is_drained(services, around, ordered), run.patience)
        seconds = time.monotonic() - quiet
        used = processor_seconds([*installation.processes(), psutil.Process()]) - used
    _wait(installation, lambda: _is_ready(installation), START)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    slow = (
        f"{seconds:.1f} s, {used:.0f} of a processor, {load}"
        if done
        else f"not after {run.patience:g} s: {_state(services)}"
    )
    lines = [
        Line("drained after the last fault", slow, f"within {run.drained:g} s", seconds <= run.drained, of_speed=done),
        *verdict(ordered, customers, services, around.provider, around.receiver, calls_lost=costs_calls(run.faults)),
        _ended(installation.endings),
    ]
    say(f"         {_deaths(services)}; {sum(order.tries for order in ordered) - len(ordered)} submissions repeated")
    _keep_logs(around, lines, say)
    return lines


def _befall(installation: Installation, run: Run, say: Say) -> None:
    """One fault after the other, each begun and ended in this thread."""
    acts = [(fault.at, 0, fault) for fault in run.faults]
    acts += [(fault.at + fault.seconds, 1, fault) for fault in run.faults if fault.seconds]
    began = time.monotonic()
    for at, ends, fault in sorted(acts, key=lambda act: act[:2]):
        while (left := began + at - time.monotonic()) > 0:
            installation.tend()
            time.sleep(min(LOOK, left))
        late = time.monotonic() - began
        say(f"{late:7.1f}  {'  over: ' if ends else ''}{fault}")
        installation.faults[fault.what][ends](fault.whom)
    while time.monotonic() < began + run.duration:
        installation.tend()
        time.sleep(LOOK)


def _wait(installation: Installation, true: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        installation.tend()
        time.sleep(LOOK)
    return found


def _is_ready(installation: Installation) -> bool:
    try:
        answers = [httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=60) for port in installation.ports]
    except httpx2.HTTPError:
        return False
    roles = {worker.role for worker in installation.services.workers.alive(within_seconds=30)}
    return all(answer.status_code == 200 for answer in answers) and roles >= {"cpu", "io", "scheduler"}


def _is_drained(services: Services, around: Surroundings, ordered: Sequence[Order]) -> bool:
    live = select(func.count(col(Job.id))).where(col(Job.status).not_in(TERMINAL))
    with services.database.read() as session:
        if session.execute(live).scalar_one():
            return False
    return set(told(around.receiver, {}).ids) >= {order.job_id for order in ordered if order.job_id}


def _state(services: Services) -> str:
    stages = select(col(Job.status), col(Job.stage), func.count()).group_by(col(Job.status), col(Job.stage))
    with services.database.read() as session:
        found = {f"{status}/{stage}": number for status, stage, number in session.execute(stages)}
    return ", ".join(f"{number} {name}" for name, number in sorted(found.items()))


def _deaths(services: Services) -> str:
    """What the product thinks has gone wrong with work."""
    with services.database.read() as session:
        lost = [session.execute(select(func.sum(col(row.lost)))).scalar_one() or 0 for row in (Job, Chunk)]
        failed = [session.execute(select(func.sum(col(row.failures)))).scalar_one() or 0 for row in (Job, Chunk)]
    return f"workers lost {sum(lost)}, failures of work {sum(failed)}"


def _ended(endings: Sequence[str]) -> Line:
    return Line("processes that ended by themselves", f"{len(endings)} {'; '.join(endings[:2])}", "0", not endings)


def _keep_logs(around: Surroundings, lines: Sequence[Line], say: Say) -> None:
    """Of a run that failed, for whoever wants to know why."""
    if all(line.holds for line in lines):
        return
    kept = Path(tempfile.mkdtemp(prefix="nemesis-logs-"))
    for path in around.folder.glob("*.log"):
        (kept / path.name).write_bytes(path.read_bytes())
    say(f"         the logs are in {kept}")
