"""`python -m tests.nemesis --seed 3 --duration 120 [--jobs 100] [--embedded] [--plan]`: exit code 1 when a line fails."""

from __future__ import annotations

import argparse
import functools
import logging
import signal
import sys

from tests.nemesis.plan import costs_calls
from tests.nemesis.run import Run, perform


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--duration", type=float, default=120.0, help="seconds in which faults come")
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument(
        "--drained", type=float, default=30.0, help="seconds after the last fault until all must be done"
    )
    parser.add_argument("--embedded", action="store_true", help="one `stenopool up` in place of a cluster")
    parser.add_argument("--plan", action="store_true", help="only show what would be done")
    given = parser.parse_args()
    run = Run(given.seed, given.duration, given.jobs, given.embedded, given.drained)
    if given.plan:
        for fault in run.faults:
            print(f"{fault.at:7.1f}  {fault}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers and disks are given back then, too
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for every request to S3
    kind = "the embedded default" if run.embedded else "a cluster"
    lost = "calls of io workers are lost" if costs_calls(run.faults) else "io workers are spared"
    print(
        f"seed {run.seed}, {run.duration:g} s, {run.jobs} jobs, {len(run.faults)} faults against {kind}; {lost}",
        flush=True,
    )
    lines = perform(run, functools.partial(print, flush=True))
    print(*lines, sep="\n", flush=True)
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
