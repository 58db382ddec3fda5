"""`python -m workers cpu|io|scheduler [--concurrency N] [--grace SECONDS] [--metrics HOST:PORT]`: one role, as a process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from infra.diagnosis.startup import EXIT_CODE, PartsWait
from infra.logs import log_everything, set_up_logs
from infra.monitoring.listener import address_of
from infra.settings import Settings
from pipeline.audio.ffmpeg.binary import find_ffmpeg
from pipeline.errors import StenopoolError
from workers.main import GRACE, run_worker
from workers.schedule import run_scheduler

log = logging.getLogger("stenopool.worker")

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the role named on the command line until it is told to stop. Returns 3 for what waiting does not mend."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("role", choices=("cpu", "io", "scheduler"))
    parser.add_argument("--concurrency", type=int, help="processes of cpu, threads of io")
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds that running work gets at the end")
    parser.add_argument("--metrics", help="HOST:PORT of a listener for metrics and details; off by default")
    given = parser.parse_args(arguments)
    set_up_logs()
    try:
        settings = Settings.from_env(os.environ)
        set_up_logs(settings.log_level)
        monitoring = address_of(given.metrics) if given.metrics else None
        find_ffmpeg()
        PartsWait(settings).for_a_role()
        if given.role == "scheduler":
            return run_scheduler(settings, monitoring=monitoring, grace=given.grace)
        return run_worker(settings, given.role, concurrency=given.concurrency, monitoring=monitoring, grace=given.grace)
    except StenopoolError as error:
        log.critical("%s [%s]", error.message, error.code)
        return EXIT_CODE
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    log_everything()
    sys.exit(main())
