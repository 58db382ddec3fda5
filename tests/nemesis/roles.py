"""The processes of an installation, and what can be done to them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from infra.parent_death import tied_to_parent
from tests.support.repository import ROOT

AGAIN = 2.0  # seconds until what ended by itself is started again
NOT_STARTED = (2, 3, 78)  # exit codes of who does not find what it needs: it is meant to say so and go


@dataclass
class Role:
    """One process, with those it starts. Start it from the main thread: it dies with the thread that started it."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    down: bool = False  # killed, and to stay so for a while
    endings: list[str] = field(default_factory=list)  # by itself
    _started: float = 0.0
    _again: float = 0.0
    _frozen: list[psutil.Process] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                tied_to_parent(self.command),
                env=self.environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.down, self._started = False, time.monotonic()

    def tend(self) -> None:
        """Start it again when it has ended by itself, as whoever runs it would."""
        if self.process is not None and not self.down and self.process.poll() is not None:
            lived, code = time.monotonic() - self._started, self.process.returncode
            if code not in NOT_STARTED:
                self.endings.append(f"{self.name} ended with {code} after {lived:.0f} s")
            self.process, self._again = None, time.monotonic() + AGAIN
        if self.process is None and not self.down and time.monotonic() >= self._again:
            self.start()

    def family(self) -> list[psutil.Process]:
        """The main process and all below it; nobody when it is down."""
        return family(self.process.pid) if self.process is not None and self.process.poll() is None else []

    def kill(self) -> None:
        """SIGKILL to the main process; its children have to notice."""
        self.down = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        self._frozen = self.family()
        tell(self._frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        tell(self._frozen, signal.SIGCONT)
        self._frozen = []

    def stop(self) -> None:
        everybody = self.family()
        self.kill()
        tell(everybody, signal.SIGKILL)
        psutil.wait_procs(everybody, timeout=60)


def family(pid: int) -> list[psutil.Process]:
    """The process, if it lives, and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        main = psutil.Process(pid)
        return [main, *main.children(recursive=True)]
    return []


def processor_seconds(processes: Iterable[psutil.Process]) -> float:
    """What these have used so far."""
    used = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def tell(processes: Sequence[psutil.Process], number: int) -> None:
    """A signal to all of them that still live."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill_a_child(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL to the youngest of a worker's pool children, or to what it has started."""
    for process in reversed(processes[1:]):
        tell([process], signal.SIGKILL)
        return


def environment(**settings: str) -> dict[str, str]:
    """Of a role: nothing of ours but where programs are."""
    given = {f"STENOPOOL_{name.upper()}": value for name, value in settings.items()}
    return {"PATH": os.environ["PATH"], **given}


def shared(catalog: Path) -> dict[str, str]:
    """Settings of every kind of installation."""
    return {
        "catalog": str(catalog),
        "outbound_allow": "127.0.0.0/8",
        "webhook_time_scale": "0.002",
        "cpu_processes": "2",
        "io_threads": "8",
        "embedded_engines": "off",
    }


def flush(redis_url: str) -> None:
    """Everything in it is gone; where it does not answer, it has nothing to lose."""
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(redis_url, socket_timeout=1, retry=None) as client:
        client.flushall()


def drop_data(folder: Path) -> None:
    """What a Redis would read at its next start."""
    for path in folder.glob("appendonly*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def unnamed(act: Callable[[], object]) -> Callable[[str], None]:
    """For what befalls no role."""

    def begin(_whom: str) -> None:
        act()

    return begin


Begin = Callable[[str], None]
Faults = Mapping[str, tuple[Begin, Begin]]  # what begins a fault, and what ends it; both are told whom it befalls


def nothing(_whom: str) -> None:
    """The end of what only happens."""
