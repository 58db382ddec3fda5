"""A folder of BULK_FILES recordings by `stenopool bulk`, killed once, two workers killed under it; what became of each."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
from sqlalchemy import func, select
from sqlmodel import col

from infra.database.tables.jobs import Job
from tests.benchmarks.bulk_sounds import FILES, Archive, fill
from tests.benchmarks.report import Figure
from tests.e2e.stack import Stack
from tests.support.accounts import rich
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

MIB = 1024**2
PATIENCE = 100_000  # seconds
SOME = 100  # files of the archive beside which memory is looked at
AGAIN = 4  # two workers of two processes each are killed, and each was in a call
REPORT = "_report"


class Account:
    """One with a bill of its own."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.id = stack, rich(stack.services.database, name)
        self.key = stack.services.accounts.create_key(self.id)[0]
        self.http = httpx2.Client(
            base_url=f"http://127.0.0.1:{stack.port('api')}",
            timeout=120,
            headers={"authorization": f"Bearer {self.key}"},
        )

    def command(self, source: Path | str, out: Path | str, *words: str, url: str = "") -> subprocess.Popen[bytes]:
        """`stenopool bulk` of this account."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.stack.home),
            "STENOPOOL_BASE_URL": url or str(self.http.base_url),
            "STENOPOOL_API_KEY": self.key,
        }
        given = ("bulk", str(source), "--output", str(out), "--model", "paid", *words)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([sys.executable, "-P", "-m", "cli", *given], env=environ, cwd=ROOT, **quiet)

    def jobs(self) -> int:
        with self.stack.services.database.read() as session:
            return session.scalar(select(func.count()).where(col(Job.account_id) == self.id)) or 0

    def paid(self) -> float:
        """US dollars, as the bill says."""
        return float(self.http.get("/v1/usage").raise_for_status().json()["total"]["cost_usd"])

    def receipts(self) -> int:
        """How many times something was paid."""
        number, after = 0, dict[str, str]()
        while True:
            page = self.http.get("/v1/receipts", params={"limit": "100", **after}).raise_for_status().json()
            number += len(page["data"])
            if not page["has_more"]:
                return number
            after = {"after": page["data"][-1]["id"]}


class Watched:
    """The most memory (PSS) of a process in each span, looked at once a second."""

    def __init__(self) -> None:
        self.most: dict[str, int] = {}
        self._of: dict[str, int] = {}
        self._over = threading.Event()

    def look_at(self, **pids: int) -> None:
        self._of |= pids

    @contextmanager
    def watching(self) -> Iterator["Watched"]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _look(self) -> None:
        while not self._over.wait(1):
            for name, pid in self._of.items():
                self.most[name] = max(self.most.get(name, 0), pss(pid))


def pss(pid: int) -> int:
    """Bytes; 0 for a process that has ended."""
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def archived(stack: Stack, home: Path) -> Iterator[Figure]:
    """The command is killed at a quarter, a worker at half and at three quarters."""
    few = small(stack, home)
    archive, account, out = fill(home / "in", first=10_000), Account(stack, "folder"), home / "out"
    before, began, watched = stack.calls(), time.monotonic(), Watched()
    with watched.watching():
        watched.look_at(api=stack.pid("api"))
        with account.command(home / "in", out, "--format", "text") as first:
            watched.look_at(first=first.pid)
            wait_until(lambda: written(out) > FILES // 4, seconds=PATIENCE, every=1)
            first.send_signal(signal.SIGKILL)
        with account.command(home / "in", out, "--format", "text") as second:
            watched.look_at(second=second.pid)
            for share, worker in ((2, "cpu-1"), (4 / 3, "cpu-2")):
                wait_until(lambda share=share: written(out) > FILES / share, seconds=PATIENCE, every=1)
                killed(stack, worker)
    yield Figure("folder: files a second", f"{FILES / (time.monotonic() - began):.1f}")
    yield from checked(archive, lines_of(out), lambda path: (out / path).read_text("utf-8"))
    yield none("half files", sum(1 for _ in out.rglob("*.part")))
    yield from heard(stack.calls() - before)
    yield from billed(account, archive, json.loads((out / REPORT / "summary.json").read_text())["cost_usd"])
    most = watched.most
    for what, now in (("command", max(most["first"], most["second"])), ("API", most["api"])):
        grown = (now - few[what]) / MIB
        name = f"memory of the {what}, {SOME} and {FILES} files"
        yield Figure(name, f"{now / MIB:.1f} MiB", f"{few[what] / MIB:.1f} MiB", target="+ 32 MiB", good=grown <= 32)
    yield from later(account, home / "in", out, archive)


def small(stack: Stack, home: Path) -> dict[str, int]:
    """The most memory beside an archive of SOME files."""
    fill(home / "few", first=5_000, files=SOME)
    with Watched().watching() as watched, Account(stack, "few").command(home / "few", home / "few-out") as process:
        watched.look_at(API=stack.pid("api"), command=process.pid)
        process.wait()
    return watched.most


def later(account: Account, source: Path, out: Path, archive: Archive) -> Iterator[Figure]:
    """The same words again send nothing; another format is written without a server."""
    jobs, calls, began = account.jobs(), account.stack.calls(), time.monotonic()
    with account.command(source, out, "--format", "text") as process:
        process.wait()
    yield none("second run: jobs and calls", account.jobs() - jobs + (account.stack.calls() - calls).total())
    yield Figure("second run", f"{time.monotonic() - began:.1f} s")
    with account.command(source, out, "--format", "vtt", url=f"http://127.0.0.1:{free_port()}") as process:
        process.wait()
    shapes = sum(1 for _ in out.rglob("*.vtt"))
    yield same("another format without a server: files", shapes, len(archive.said))


def checked(archive: Archive, lines: dict[str, dict[str, Any]], read: Any) -> Iterator[Figure]:
    """What each recording's line in the report says, and what its output says."""
    exact = sum(
        read(lines[name]["outputs"][0]["path"]).split() == text.split()
        for name, text in archive.said.items()
        if lines[name]["outputs"]
    )
    yield same("good ones with an exact output", exact, len(archive.said))
    told = {name for name, line in lines.items() if line["state"] == "failed" and line["error"]["message"]}
    yield same("broken ones with their reason", len(told & archive.broken), len(archive.broken))
    yield none("others that failed", len(told - archive.broken))


def heard(calls: Any) -> Iterator[Figure]:
    """Sounds that the provider was asked for more than once."""
    again = calls.total() - len(calls)
    yield Figure("heard again", str(again), target=f"<= {AGAIN}", good=again <= AGAIN)


def billed(account: Account, archive: Archive, told: float) -> Iterator[Figure]:
    """`told`: what the report says that all cost."""
    yield same("paid", account.receipts(), archive.different)
    bill = account.paid()
    yield Figure("the report's sum, /v1/usage", f"{told:.6f} $", f"{bill:.6f} $", good=abs(told - bill) < 1e-9)


def same(name: str, value: int, truth: int) -> Figure:
    return Figure(name, str(value), str(truth), target="the same", good=value == truth)


def none(name: str, value: int) -> Figure:
    return Figure(name, str(value), target="0", good=not value)


def lines_of(out: Path) -> dict[str, dict[str, Any]]:
    lines = (out / REPORT / "report.jsonl").read_text("utf-8").splitlines()
    return {line["source"]: line for line in map(json.loads, lines)}


def written(out: Path) -> int:
    return sum(1 for _ in out.rglob("*.txt"))


def killed(stack: Stack, role: str) -> None:
    stack.kill(role)
    stack.bury()
    stack.start(role)
