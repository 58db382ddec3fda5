"""`stenopool bulk`: its rate beside bare jobs, and BULK_FILES recordings (10,000), in a folder and in a bucket, with kills."""

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx2
import psutil
import pytest

from cli.archive.journal import Journal
from cli.listing.found import Found
from tests.benchmarks.processor_time import processor_seconds
from tests.benchmarks.report import Figure
from tests.e2e.stack import Stack
from tests.support.recordings import long, short
from tests.support.repository import ROOT
from tests.support.s3_server import moto_server
from tests.support.waiting import wait_until

FILES = int(os.environ.get("BULK_FILES", "10000"))
RATED = min(1000, FILES)
KEYS = 1_000_000
MIB = 1024**2
BROKEN, DOUBLE, LONG = 50, 100, 10  # each so many-th is one
SOME = min(100, FILES // 8)  # files after which memory is looked at first
PATIENCE = 100_000  # seconds
BULK = "/v1/audio/bulk"
ROLES = ("api", "cpu-1", "cpu-2", "scheduler")


def run() -> Iterator[Figure]:
    """A whole installation on this machine; recordings of 1 to 20 s, two in a hundred broken, one in a hundred twice."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells of every request
    yield listed()
    with tempfile.TemporaryDirectory() as folder, moto_server() as s3, pytest.MonkeyPatch.context() as patch:
        s3.use(patch)
        home = Path(folder)
        grants = json.dumps([{"uri": "s3://archive/", "access": "read-write"}])
        stack = Stack(home / "stack", environ=s3.environ, buckets=grants, cpu_processes=2)
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
        with command(stack, source, home / "rated-out") as process:
            assert process.wait() == 0

    def by_jobs() -> None:
        before = completed(stack)
        for number in range(RATED):
            stack.submit(short(number))
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


def archived(stack: Stack, home: Path) -> Iterator[Figure]:
    """Killed at a quarter, a worker killed at half and at three quarters."""
    source, out = home / "in", home / "out"
    names, before = fill(source), stack.calls()
    api = psutil.Process(stack.pid("api"))
    with command(stack, source, out) as first:
        wait_until(lambda: written(out) > SOME, seconds=PATIENCE, every=1)
        small = (psutil.Process(first.pid).memory_info().rss, api.memory_info().rss)
        wait_until(lambda: written(out) > FILES // 4, seconds=PATIENCE, every=1)
        first.send_signal(signal.SIGKILL)
        first.wait()
    with command(stack, source, out) as second:
        process = psutil.Process(second.pid)
        for share, worker in ((2, "cpu-1"), (4 / 3, "cpu-2")):
            wait_until(lambda share=share: written(out) > FILES / share, seconds=PATIENCE, every=1)
            large = (process.memory_info().rss, api.memory_info().rss)
            killed(stack, worker)
        second.wait()
    summary = json.loads((out / "_report" / "summary.json").read_text())
    good = len(names)
    yield Figure(
        "files completed", str(summary["files"]["completed"]), str(good), good=summary["files"]["completed"] == good
    )
    yield twice(stack, before, names)
    halves = sum(1 for _ in out.rglob("*.part"))
    yield Figure("half files", str(halves), target="0", good=not halves)
    for what, few, many in zip(("command", "API"), small, large, strict=True):
        grown = (many - few) / MIB
        name = f"memory of the {what} from {SOME} to {FILES * 3 // 4} files"
        yield Figure(name, f"{grown:.1f} MiB", target="<= 32 MiB", good=grown <= 32)


def bucketed(stack: Stack, home: Path) -> Iterator[Figure]:
    """The same names in a bucket of a real server over HTTP: the scheduler killed at a quarter, a worker at half and later."""
    sounds, before = home / "bucket", stack.calls()
    names = fill(sounds, first=50_000)
    client = boto3.client("s3")
    client.create_bucket(Bucket="archive")
    for path in filter(Path.is_file, sounds.rglob("*")):
        client.put_object(Bucket="archive", Key=f"in/{path.relative_to(sounds)}", Body=path.read_bytes())
    key, _ = stack.services.accounts.create_key(stack.account)
    asked = {"model": "oracle", "input": {"uri": "s3://archive/in/"}, "output": {"uri": "s3://archive/out/"}}
    with httpx2.Client(base_url=f"http://127.0.0.1:{stack.port('api')}", timeout=120) as http:
        http.headers["authorization"] = f"Bearer {key}"
        run_id = http.post(BULK, json=asked).raise_for_status().json()["id"]

        def shown() -> dict[str, Any]:
            return dict(http.get(f"{BULK}/{run_id}").raise_for_status().json())

        def done() -> int:
            return int(shown()["counts"]["completed"])

        began = time.monotonic()
        for share, role in ((4, "scheduler"), (2, "cpu-1"), (4 / 3, "cpu-2")):
            wait_until(lambda share=share: done() > len(names) / share, seconds=PATIENCE, every=1)
            killed(stack, role)
        wait_until(lambda: shown()["status"] == "completed", seconds=PATIENCE, every=1)
        rate = len(names) / (time.monotonic() - began)
        counts = done()
    yield Figure("bucket: files completed", str(counts), str(len(names)), good=counts == len(names))
    yield twice(stack, before, names)
    yield Figure("bucket: files a second", f"{rate:.1f}")


def killed(stack: Stack, role: str) -> None:
    stack.kill(role)
    stack.bury()
    stack.start(role)


def twice(stack: Stack, before: Counter[str], names: dict[str, str]) -> Figure:
    calls = stack.calls()
    again = sum(calls[digest] - before[digest] > 1 for digest in set(names.values()) - {""})
    return Figure("heard again", str(again), target="<= 4", good=again <= 4)


def command(stack: Stack, source: Path, out: Path) -> subprocess.Popen[bytes]:
    key = stack.services.accounts.create_key(stack.account)[0]
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(stack.home),
        "STENOPOOL_BASE_URL": f"http://127.0.0.1:{stack.port('api')}",
        "STENOPOOL_API_KEY": key,
    }
    given = ("bulk", str(source), "--output", str(out), "--model", "oracle", "--format", "text")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-P", "-m", "cli", *given], env=environ, cwd=ROOT, **quiet)


def fill(folder: Path, *, first: int = 10_000) -> dict[str, str]:
    """The good recordings by name, with how the oracle's log names each that is heard in one piece."""
    kinds = ("{0}.wav", "a b/{0}.wav", "🎧/{0}.wav", "l/" + "x" * 190 + "{0}.wav")
    good = {}
    for number in range(FILES):
        name = kinds[number % 4].format(number)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % BROKEN == BROKEN - 1:
            path.write_bytes(b"no sound" * number)
            continue
        content, is_long = number - 1 if number % DOUBLE == 1 else number, number % LONG == LONG - 2
        recording = long(4 + number % 17 if is_long else 2, first + content)
        path.write_bytes(recording.wav)
        good[name] = "" if is_long else recording.digest
    return good


def written(out: Path) -> int:
    return sum(1 for _ in out.rglob("*.txt"))
