"""`stenopool up`: whatever stops it, nothing is left behind, and the next start goes on with the jobs it had."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from sqlalchemy import update
from sqlmodel import col

from cli import exits
from cli.client import Client
from cli.up import Place
from infra.database.session import Database
from infra.database.tables.jobs import Chunk, Job
from infra.keys.accounts import Accounts
from tests.e2e.processes import LEAVE_SECONDS, Marked, marked
from tests.support.accounts import rich
from tests.support.ports import free_port
from tests.support.recordings import long, short
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

CATALOG = """
[providers.oracle]
scripted = true
log = "{log}"
max_s = 4.0
min_s = 1.5
"""
START_SECONDS = 240


class Up:
    """One run of `stenopool up` and what it says."""

    def __init__(self, place: Marked, folder: Path, port: int) -> None:
        self.port = port
        self._out, self._err = folder / "up.out", folder / "up.err"
        with self._out.open("wb") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(command(port), env=place.environ, stdout=out, stderr=err)
        wait_until(self._is_ready, seconds=START_SECONDS)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self._err.read_text(errors="replace")[-4000:]
        return "Stenopool is ready." in self._out.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int) -> int:
        """Send the signal; everything is gone within the time allowed. Returns the exit code."""
        family = self.family()
        self.process.send_signal(number)
        try:
            code = self.process.wait(LEAVE_SECONDS)
        finally:
            self.process.kill()  # nothing, when it has ended
            self.process.wait()
        _, left = psutil.wait_procs(family, LEAVE_SECONDS)
        assert not left, f"after {signal.Signals(number).name}: {left}"
        return code


def command(port: int) -> list[str]:
    return [sys.executable, "-P", "-m", "cli", "up", "--port", str(port)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Marked]:
    log, catalog = tmp_path / "oracle.log", tmp_path / "catalog.toml"
    catalog.write_text(CATALOG.format(log=log))
    with marked(tmp_path, STENOPOOL_CATALOG=str(catalog), STENOPOOL_LEASE_SECONDS="120") as place:
        yield place


def database_in(folder: Path) -> Database:
    return Database(f"sqlite:///{folder / 'home' / 'stenopool.db'}")


@pytest.fixture
def key(tmp_path: Path, place: Marked) -> str:
    with contextlib.closing(database_in(tmp_path)) as database:
        database.migrate()
        return Accounts(database).create_key(rich(database, "up"))[0]


def test_whatever_stops_it_nothing_is_left_and_its_jobs_go_on(place: Marked, key: str, tmp_path: Path) -> None:
    """A job of about a dozen chunks, which are heard while the gate is open, survives Ctrl-C, SIGTERM and SIGKILL in turn."""
    recording, gate = long(40, seed=7), tmp_path / "gate"
    (tmp_path / "long.wav").write_bytes(recording.wav)
    port, job_id, done = free_port(), "", 0
    for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        up = Up(place, tmp_path, port)
        with Client(up.url, key) as client:
            if not job_id:
                fields = {"model": "oracle", "prompt": "oracle: latency=1 until=gate"}
                job_id = client.submit(tmp_path / "long.wav", fields)["id"]
            gate.touch()
            wait_until(lambda: client.job(job_id)["progress"]["chunks"]["completed"] > done)  # noqa: B023
            gate.unlink()
            job = client.job(job_id)
        assert job["status"] == "processing"
        done = job["progress"]["chunks"]["completed"]
        assert up.stop(number) == code
        place.assert_gone()
        run_out(tmp_path)
    gate.touch()
    up = Up(place, tmp_path, port)
    with Client(up.url, key) as client:
        wait_until(lambda: client.job(job_id)["status"] == "completed")
        assert client.transcript(job_id, "text").split() == list(recording.words)
        total = client.job(job_id)["progress"]["chunks"]["total"]
    assert up.stop(signal.SIGTERM) == 0
    calls = Counter(line.split()[1] for line in (tmp_path / "oracle.log").read_text().splitlines())
    # What was finished is not done again: each of the three ends may cost the chunk that was in hand, no other.
    assert sum(calls.values()) <= total + 3


def run_out(folder: Path) -> None:
    """The leases of those that were killed."""
    with contextlib.closing(database_in(folder)) as database, database.write() as session:
        for table in (Job, Chunk):
            session.execute(update(table).where(col(table.lease_until).is_not(None)).values(lease_until=1.0))


def test_on_a_terminal(place: Marked, tmp_path: Path) -> None:
    """The first key is shown once; roles and Redis that die come back; two times Ctrl-C does not wait."""
    port = free_port()
    terminal = Terminal(command(port), place.environ)
    shown = terminal.read_until("Ctrl-C stops it.")
    (secret,) = re.findall(r"sk-\w+", shown)
    assert f"http://127.0.0.1:{port}/v1" in shown
    (link,) = re.findall(rf"^(http://127.0.0.1:{port}/console/start\?once=\S+)\r?$", shown, re.MULTILINE)
    opened = [httpx2.get(link).status_code for _ in range(2)]
    assert opened == [303, 403], "it signs in once"
    with Client(f"http://127.0.0.1:{port}", secret) as client:
        for name in ("-m api", "redis-server", "workers cpu", "workers scheduler"):
            killed = kill(terminal.process.pid, name)
            wait_until(lambda: named(terminal.process.pid, name) not in (None, killed))  # noqa: B023
        wait_until(lambda: client.ready()[1].get("status") == "ok")
        (tmp_path / "short.wav").write_bytes(short(3).wav)
        job_id = client.submit(tmp_path / "short.wav", {"model": "oracle"})["id"]
        wait_until(lambda: client.job(job_id)["status"] == "completed")
    assert terminal.read_until("starting it again").count("starting it again") >= 1
    terminal.type("\x03")
    terminal.read_until("stopping")
    terminal.type("\x03")
    assert terminal.process.wait(LEAVE_SECONDS) in (0, exits.INTERRUPTED)
    place.assert_gone()


def test_refusals_are_one_line(place: Marked) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refusal(place, port) == (exits.NOT_THERE, f"cannot listen on 127.0.0.1 port {port}")
    for name, value, code in (
        ("STORAGE_URL", "ftp://nowhere", exits.BAD_INPUT),
        ("DATABASE_URL", "mysql://somewhere", exits.BAD_INPUT),
        ("CATALOG", "missing.toml", exits.BAD_INPUT),
    ):
        assert refusal(place, free_port(), {**place.environ, f"STENOPOOL_{name}": value})[0] == code, name
    lock = tmp_lock(place)
    with lock.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, said = refusal(place, free_port())
    assert code == exits.NOT_THERE
    assert "is in use" in said


def refusal(place: Marked, port: int, environ: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and the one line, up to its first colon after the program's name."""
    run = subprocess.run(command(port), env=environ or place.environ, capture_output=True, text=True, timeout=300)
    lines = [line for line in run.stderr.splitlines() if line.startswith("stenopool: ")]
    assert len(lines) == 1, run.stderr
    assert "Traceback" not in run.stderr
    return run.returncode, lines[0].removeprefix("stenopool: ").split(":")[0]


def tmp_lock(place: Marked) -> Path:
    return Path(place.environ["STENOPOOL_HOME"]) / "up.lock"


def named(parent: int, name: str) -> int | None:
    """The pid of the direct child whose command line holds `name`."""
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.Error):
            if name in " ".join(child.cmdline()):
                return child.pid
    return None


def kill(parent: int, name: str) -> int:
    pid = wait_until(lambda: named(parent, name))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def test_an_address_for_everywhere_is_asked_on_loopback() -> None:
    assert Place("0.0.0.0", 8000).url == "http://127.0.0.1:8000"
    assert Place("::", 8000).url == "http://[::1]:8000"
    assert Place("192.0.2.1", 80).url == "http://192.0.2.1:80"
