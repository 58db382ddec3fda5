"""What a step costs on this machine: a few jobs through one worker of each role, and the processor time of everybody meanwhile."""

from __future__ import annotations

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
    used = machine_seconds()
    stack.ended(*[stack.submit(clip, model="far") for clip in clips])
    each = (machine_seconds() - used) / len(clips)
    used = machine_seconds()
    [job] = stack.ended(stack.submit(long(archive_seconds, 1), model="far", priority=-10))
    chunk = (machine_seconds() - used) / max(1, job.chunks_total)
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


def machine_seconds() -> float:
    """Processor seconds of the whole machine so far; of others, too, who should therefore be quiet."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice)
