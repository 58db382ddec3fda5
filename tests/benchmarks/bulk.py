"""`stenopool bulk`: its rate beside bare jobs, and BULK_FILES recordings (10,000), in a folder and in a bucket, with kills."""

import json
import logging
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli.archive.journal import Journal
from cli.listing.found import Found
from tests.benchmarks.bulk_bucket import bucketed
from tests.benchmarks.bulk_folder import MIB, PATIENCE, Account, archived
from tests.benchmarks.bulk_sounds import FILES
from tests.benchmarks.processor_time import processor_seconds
from tests.benchmarks.report import Figure
from tests.e2e.stack import Stack
from tests.support.recordings import short
from tests.support.s3_server import moto_server
from tests.support.waiting import wait_until

RATED = min(1000, FILES)
KEYS = 1_000_000
SWEEP = 1.0  # seconds, as where nobody says another number
ROLES = ("api", "cpu-1", "cpu-2", "io", "scheduler")  # io fetches what lies in a bucket


def run() -> Iterator[Figure]:
    """A whole installation on this machine; recordings of 1 to 20 s, two in a hundred broken, one in a hundred twice."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells of every request
    yield listed()
    with tempfile.TemporaryDirectory() as folder, moto_server() as s3, pytest.MonkeyPatch.context() as patch:
        s3.use(patch)
        home = Path(folder)
        grants = json.dumps([{"uri": "s3://archive/", "access": "read-write"}])
        stack = Stack(home / "stack", environ=s3.environ, buckets=grants, cpu_processes=2, sweep_seconds=SWEEP)
        try:
            stack.start(*ROLES)
            yield from rated(stack, home)
            yield from archived(stack, home)
            yield from bucketed(stack, home)
        finally:
            stack.stop()


def listed() -> Figure:
    """What a million keys add while they are listed."""
    with tempfile.TemporaryDirectory() as folder:
        journal, process = Journal(Path(folder) / "state.sqlite"), psutil.Process()
        before = process.memory_info().rss
        with journal.listing():
            for number in range(KEYS):
                journal.note(Found(f"a/{number}.wav", f"s3://bucket/a/{number}.wav", 1000, 1.0))
        grown = (process.memory_info().rss - before) / MIB
        journal.close()
    return Figure("memory for a million keys", f"{grown:.1f} MiB", target="<= 32 MiB", good=grown <= 32)


def rated(stack: Stack, home: Path) -> Iterator[Figure]:
    """The command and the same recordings as bare jobs, without HTTP; by the clock, and by the processors of all processes."""
    source = home / "rated"
    source.mkdir()
    for number in range(RATED):
        (source / f"{number}.wav").write_bytes(short(number).wav)

    def by_command() -> None:
        account = Account(stack, "rated")
        with account.command(source, home / "rated-out", "--format", "text") as process:
            assert process.wait() == 0

    def by_jobs() -> None:
        before = completed(stack)
        for number in range(RATED):
            stack.submit(short(number), model="paid")
        wait_until(lambda: completed(stack) == before + RATED, seconds=PATIENCE, every=0.1)

    bulk, bulk_ms = measured(stack, by_command)
    bare, bare_ms = measured(stack, by_jobs)
    told = (f"{bulk:.1f} /s", f"{bare:.1f} /s")
    yield Figure(f"bulk of {RATED}, bare jobs", *told, ratio=bare / bulk, target="<= 1.2", good=bare / bulk <= 1.2)
    yield Figure("processor time of one", f"{bulk_ms:.1f} ms", f"{bare_ms:.1f} ms", ratio=bulk_ms / bare_ms)


def measured(stack: Stack, act: Callable[[], None]) -> tuple[float, float]:
    """Recordings a second, and milliseconds of processors of each."""

    def spent() -> float:
        own, reaped = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        mine = own.ru_utime + own.ru_stime + reaped.ru_utime + reaped.ru_stime
        return mine + processor_seconds(*(stack.pid(role) for role in ROLES))

    began, before = time.monotonic(), spent()
    act()
    return RATED / (time.monotonic() - began), (spent() - before) / RATED * 1000


def completed(stack: Stack) -> int:
    return int(stack.services.jobs.counts()["jobs"].get("completed", 0))
