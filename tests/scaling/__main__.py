"""`python -m tests.scaling [--clips 2000] [--archives 3] [--minutes 20]`: a burst on PostgreSQL; 1 where a line does not hold."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from pipeline.lifecycle import JobStatus
from tests.e2e.stack import Stack
from tests.scaling.driver import Driver, load
from tests.scaling.measure import measure
from tests.scaling.policy import Policy
from tests.scaling.simulation import ARCHIVE, NORMAL, House, Simulation, Work, quantile
from tests.support.database_servers import postgres_server
from tests.support.recordings import long, short

LATENCY, LOOK, THREADS, PROCESSES = 1.0, 1.0, 8, 2
POLICIES = {
    "cpu": Policy(least=1, most=2, target=1500.0, patience=15.0),
    "io": Policy(least=1, most=6, target=150.0, patience=15.0),
}
AGREES = 0.3  # of what was predicted


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scaling", description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--archives", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=20.0, help="of each archive")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="steno-scaling-") as home,
        postgres_server() as server,
        server.fresh() as url,
    ):
        settings = {"cpu_processes": PROCESSES, "io_threads": THREADS, "database_pool": 12}
        stack = Stack(Path(home), database_url=url, grace=60, **settings)
        try:
            return _burst(stack, given.clips, given.archives, given.minutes * 60)
        finally:
            stack.stop()


def _burst(stack: Stack, clips: int, archives: int, seconds: float) -> int:
    driver = Driver(stack, POLICIES)
    driver.start()
    costs = measure(stack, [short(number) for number in range(60)], 120.0)
    print(f"measured: {costs}", flush=True)
    began, before = time.monotonic(), stack.calls()
    told = f"latency={LATENCY}"
    archived = [stack.submit(long(seconds, seed), told, model="far", priority=-10) for seed in range(2, 2 + archives)]
    short_ones = [stack.submit(short(number), told, model="far") for number in range(100, 100 + clips)]
    submitted = time.monotonic() - began
    print(f"submitted in {submitted:.1f} s", flush=True)
    driver.until(lambda: _is_idle(stack), every=LOOK, seconds=3600)
    took = time.monotonic() - began
    driver.until(
        lambda: all(len(names) == POLICIES[role].least for role, names in driver.running.items()),
        every=LOOK,
        seconds=120,
    )
    driver.settle()
    done = {lane: [stack.job(one) for one in ids] for lane, ids in ((NORMAL, short_ones), (ARCHIVE, archived))}
    seen = {lane: [(job.ended_at or 0) - job.created_at for job in jobs] for lane, jobs in done.items()}
    chunks = max(job.chunks_total for job in done[ARCHIVE]) if archived else 1
    work = Work(clips, archives, chunks, LATENCY, interval=submitted / max(1, clips))
    house = House(os.cpu_count() or 1, {"cpu": PROCESSES, "io": THREADS}, POLICIES, LOOK)
    expected = Simulation(work, house, costs).run().took
    jobs = [job for several in done.values() for job in several]
    calls = stack.calls() - before
    lines = [
        ("all completed", f"{sum(job.status == JobStatus.COMPLETED for job in jobs)} of {len(jobs)} in {took:.0f} s",
         all(job.status == JobStatus.COMPLETED for job in jobs)),
        ("workers at most, and now", f"{driver.most}, {({role: len(names) for role, names in driver.running.items()})}",
         driver.most["io"] > POLICIES["io"].least),
        ("exit codes of those that were stopped", str(dict(driver.exits)), set(driver.exits) <= {0}),
        ("workers lost on a job", str(sum(job.lost for job in jobs)), not any(job.lost for job in jobs)),
        ("sounds heard twice", str(sum(calls.values()) - len(calls)), sum(calls.values()) == len(calls)),
        *(_agreement(name, share, seen[lane], expected[lane])
          for lane, name in ((NORMAL, "clips"), (ARCHIVE, "archives")) if seen[lane] for share in (0.5, 0.95)),
    ]  # fmt: skip
    for name, value, holds in lines:
        print(f"{'holds' if holds else 'FAILS'}  {name}: {value}", flush=True)
    return 0 if all(holds for *_, holds in lines) else 1


def _is_idle(stack: Stack) -> bool:
    return not any(load(stack.services.database).values())


def _agreement(name: str, share: float, seen: list[float], expected: list[float]) -> tuple[str, str, bool]:
    was, said = quantile(seen, share), quantile(expected, share)
    told = f"{was:.1f} s, predicted {said:.1f} s"
    return f"{name}, from acceptance to end, p{share * 100:.0f}", told, abs(was - said) <= AGREES * said


if __name__ == "__main__":
    sys.exit(main())
