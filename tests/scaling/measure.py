"""What a step costs on this machine: a few jobs through one worker of each role, and the processor time of everybody meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import psutil

from tests.e2e.stack import Stack
from tests.scaling.simulation import Costs
from tests.support.recordings import Recording, long

SHARES = {
    "prepare": 0.5,
    "hear": 0.3,
    "finish": 0.2,
}  # of a clip's processor time, as its steps' statements and decoding have it


def measure(stack: Stack, clips: Sequence[Recording], archive_seconds: float) -> Costs:
    """`cpu-0` and `io-0` are running, and idle."""
    used = spent_seconds()
    stack.ended(*[stack.submit(clip, model="far") for clip in clips])
    each = (spent_seconds() - used) / len(clips)
    used = spent_seconds()
    [job] = stack.ended(stack.submit(long(archive_seconds, 1), model="far", priority=-10))
    chunk = (spent_seconds() - used) / max(1, job.chunks_total)
    clock = time.monotonic()
    stack.start("io-measured")
    start = time.monotonic() - clock
    stack.terminate("io-measured")
    return Costs(
        prepare=each * SHARES["prepare"],
        hear=each * SHARES["hear"],
        finish=each * SHARES["finish"],
        cut=max(0.001, chunk - each * SHARES["hear"]),
        start=start,
    )


def spent_seconds() -> float:
    """Processor seconds so far of us, of all that we have started, and of PostgreSQL's servers that are younger than we are."""
    own = psutil.Process()
    born = own.create_time()
    servers = [
        process
        for process in psutil.process_iter(["name", "create_time"])
        if process.info["name"] == "postgres" and process.info["create_time"] >= born
    ]
    total = 0.0
    for process in {own, *own.children(recursive=True), *servers}:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
