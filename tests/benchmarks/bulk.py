"""`stenopool bulk`: its rate beside bare jobs, and BULK_FILES recordings (10,000) with kills on the way."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from cli.archive.journal import Journal
from cli.listing.found import Found
from tests.benchmarks.report import Figure
from tests.e2e.stack import Stack
from tests.support.recordings import long, short
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

FILES = int(os.environ.get("BULK_FILES", "10000"))
RATED = min(1000, FILES)
KEYS = 1_000_000
MIB = 1024**2
BROKEN, DOUBLE, LONG = 50, 100, 10  # each so many-th is one
PATIENCE = 100_000  # seconds


def run() -> Iterator[Figure]:
    """A whole installation on this machine; recordings of 1 to 20 s, two in a hundred broken, one in a hundred twice."""
    yield listed()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        stack = Stack(home / "stack", cpu_processes=2)
        try:
            stack.start("api", "cpu-1", "cpu-2", "scheduler")
            yield rated(stack, home)
            yield from archived(stack, home)
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


def rated(stack: Stack, home: Path) -> Figure:
    """The command and the same recordings as bare jobs, without HTTP."""
    source = home / "rated"
    source.mkdir()
    for number in range(RATED):
        (source / f"{number}.wav").write_bytes(short(number).wav)
    began = time.monotonic()
    with command(stack, source, home / "rated-out") as process:
        assert process.wait() == 0
    bulk, began = RATED / (time.monotonic() - began), time.monotonic()
    stack.ended(*(stack.submit(short(number)) for number in range(RATED)), seconds=PATIENCE)
    bare = RATED / (time.monotonic() - began)
    told = (f"{bulk:.1f} /s", f"{bare:.1f} /s")
    return Figure(f"bulk of {RATED}, bare jobs", *told, ratio=bare / bulk, target="<= 1.2", good=bare / bulk <= 1.2)


def archived(stack: Stack, home: Path) -> Iterator[Figure]:
    """Killed at a quarter, a worker killed at half and at three quarters."""
    source, out = home / "in", home / "out"
    names, before = fill(source), stack.calls()
    with command(stack, source, out) as first:
        wait_until(lambda: written(out) > FILES // 4, seconds=PATIENCE, every=1)
        first.send_signal(signal.SIGKILL)
        first.wait()
    with command(stack, source, out) as second:
        process, sizes = psutil.Process(second.pid), list[int]()
        for share, worker in ((2, "cpu-1"), (4 / 3, "cpu-2")):
            wait_until(lambda share=share: written(out) > FILES / share, seconds=PATIENCE, every=1)
            sizes.append(process.memory_info().rss)
            stack.kill(worker)
            stack.bury()
            stack.start(worker)
        second.wait()
    summary = json.loads((out / "_report" / "summary.json").read_text())
    good = len(names)
    yield Figure(
        "files completed", str(summary["files"]["completed"]), str(good), good=summary["files"]["completed"] == good
    )
    twice = sum((stack.calls() - before)[digest] > 1 for digest in set(names.values()) - {""})
    yield Figure("heard again", str(twice), target="<= 4", good=twice <= 4)
    halves = sum(1 for _ in out.rglob("*.part"))
    yield Figure("half files", str(halves), target="0", good=not halves)
    grown = (sizes[-1] - sizes[0]) / MIB
    yield Figure("memory from half to three quarters", f"{grown:.1f} MiB", target="<= 32 MiB", good=grown <= 32)


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


def fill(folder: Path) -> dict[str, str]:
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
        recording = long(4 + number % 17 if is_long else 2, 10_000 + content)
        path.write_bytes(recording.wav)
        good[name] = "" if is_long else recording.digest
    return good


def written(out: Path) -> int:
    return sum(1 for _ in out.rglob("*.txt"))
