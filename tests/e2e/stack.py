"""A whole backend of real processes in a home of its own: private Redis, workers, scheduler, and services to submit with."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any

import httpx2
import psutil
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.tables.jobs import Chunk, Job
from infra.embedded_redis import PrivateRedis
from infra.encryption.secret_box import new_key
from infra.jobs.store import NewJob
from infra.parent_death import tied_to_parent
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.lifecycle import TERMINAL, JobStatus
from pipeline.transcript import Transcript, transcript_from_json
from tests.support.accounts import rich
from tests.support.ports import free_port
from tests.support.recordings import Recording
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

CATALOG = """
[providers.oracle]
scripted = true
log = "{log}"
max_s = 4.0
min_s = 1.5

[providers.far]
kind = "oracle"
remote = true
scripted = true
log = "{log}"
max_s = 4.0
min_s = 1.5

[models.far]
tasks = ["transcription"]
routes = [{{ provider = "far", model = "oracle" }}]

[models.paid]
tasks = ["transcription"]
routes = [{{ provider = "oracle", model = "oracle" }}]
prices = {{ audio_minute = "0.006" }}

[models.voice]
tasks = ["speech"]
routes = [{{ provider = "oracle", model = "oracle" }}]
prices = {{ thousand_characters = "0.015" }}
"""


class Stack:
    """Start processes by name, break them, submit jobs, see what came of them."""

    def __init__(
        self,
        home: Path,
        *,
        database_url: str = "",
        environ: Mapping[str, str] | None = None,
        grace: float | None = None,
        **settings: Any,
    ) -> None:
        self.home = home
        self._grace = [] if grace is None else ["--grace", str(grace)]
        self._more = environ or {}
        self.log = home / "oracle.log"
        catalog = home / "catalog.toml"
        home.mkdir(parents=True, exist_ok=True)
        catalog.write_text(CATALOG.format(log=self.log))
        self.redis = PrivateRedis(home)
        self._settings = {
            "home": home,
            "catalog": catalog,
            "database_url": database_url,
            "secrets_key": new_key(),
            "lease_seconds": 120.0,  # no living worker loses its work because the machine is slow: see `bury`
            "sweep_seconds": 0.25,
            "cpu_processes": 1,
            "outbound_allow": "127.0.0.0/8",
            "webhook_time_scale": 0.002,
            **settings,
        }
        self.services: Services = build(Settings(**self._settings), engine_processes=1)
        self.account = rich(self.services.database, "faults")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}

    def start(self, *names: str) -> None:
        """Roles to run, as "api", "cpu", "cpu-2", "io", "scheduler"; waits until each has told the database that it lives, an api
        until it is ready."""
        if not self.redis.pid:
            self.redis.start()
        for name in names:
            with (self.home / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    tied_to_parent([sys.executable, "-m", *self._command(name), *self._grace]),
                    env=self._environment(),
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        for name in names:
            wait_until(lambda name=name: self._is_present(name))

    def _command(self, name: str) -> list[str]:
        role = name.split("-", maxsplit=1)[0]
        return ["api", "--port", str(self.port(name))] if role == "api" else ["workers", role]

    def port(self, name: str) -> int:
        """Where the api of this name listens, whenever it is started."""
        if name not in self._ports:
            self._ports[name] = free_port()
        return self._ports[name]

    def _environment(self) -> dict[str, str]:
        given = {f"STENOPOOL_{name.upper()}": str(value) for name, value in self._settings.items() if value != ""}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONWARNINGS": "error::ResourceWarning",
            **given,
            **self._more,
        }

    def _is_present(self, name: str) -> bool:
        assert self._processes[name].poll() is None, self.log_of(name)
        if name in self._ports:
            return is_ready(self.port(name))
        pids = {process.pid for process in self.family(name)}
        return any(worker.pid in pids for worker in self.services.workers.alive(within_seconds=10))

    def pid(self, name: str) -> int:
        """The main process of a role."""
        return self._processes[name].pid

    def family(self, name: str) -> list[psutil.Process]:
        """A role's processes: the main one first, then its pool children and what they started."""
        main = psutil.Process(self.pid(name))
        return [main, *main.children(recursive=True)]

    def name_of(self, pid: int) -> str:
        """The role that a process belongs to."""
        return next(name for name in self._processes if pid in {process.pid for process in self.family(name)})

    def freeze(self, name: str) -> None:
        """SIGSTOP every process of a role, but none inside a transaction: SQLite would wait for it as long as it sleeps."""
        while True:
            self.signal(name, signal.SIGSTOP)
            if not any(holds_a_write_lock(process.pid) for process in self.family(name)):
                return
            self.signal(name, signal.SIGCONT)
            time.sleep(0.01)

    def silence(self, name: str) -> None:
        """The leases of a role's processes have run out."""
        self._end_leases(lambda pid: pid in {process.pid for process in self.family(name)})

    def bury(self) -> None:
        """The leases of processes that have ended have run out. That they do so by themselves is shown where no order or count
        depends on it; elsewhere a lease is so long that a machine which stands still takes no work from the living."""
        self._end_leases(lambda pid: not _is_alive(pid))

    def _end_leases(self, has_lost_them: Callable[[int], bool]) -> None:
        with self.services.database.read() as session:
            holders = {name for table in (Job, Chunk) for name in session.scalars(select(table.worker).distinct())}
        silent = [name for name in holders if name and has_lost_them(pid_of(name))]
        if silent:
            with self.services.database.write() as session:
                for table in (Job, Chunk):
                    session.execute(update(table).where(col(table.worker).in_(silent)).values(lease_until=1.0))

    def kill(self, name: str) -> None:
        """SIGKILL to the main process only; its children have to notice by themselves."""
        family, process = self.family(name), self._processes.pop(name)
        process.kill()
        process.wait()
        alive = wait_gone(family)
        assert not alive, f"outlived their worker: {alive}"

    def terminate(self, name: str, let: str = "") -> int:
        """SIGTERM, after which those go on that wait until `let`; returns the exit code."""
        family, process = self.family(name), self._processes.pop(name)
        process.terminate()
        if let:
            self.let(let)
        code = process.wait(300)
        assert not wait_gone(family)
        return code

    def signal(self, name: str, number: int) -> None:
        """A signal to every process of a role; what has ended by itself meanwhile, such as an ffmpeg, needs none."""
        for process in self.family(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self) -> None:
        """End everything."""
        families = [process for name in list(self._processes) for process in self.family(name)]
        for process in self._processes.values():
            process.kill()
            process.wait()
        assert not wait_gone(families)
        self._processes.clear()
        self.services.close()
        self.redis.stop()

    def restart_redis_empty(self) -> None:
        """Kill it, lose everything in it, and start it again at the same address."""
        assert self.redis.pid
        psutil.Process(self.redis.pid).kill()
        self.redis.stop()
        for path in (self.home / "redis").glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        url = self.redis.url
        assert self.redis.start() == url

    def submit(
        self, recording: Recording, prompt: str = "", *, model: str = "oracle", dispatch: bool = True, **more: Any
    ) -> str:
        """Store the recording and make a job of it; returns the job's id."""
        services = self.services
        media = services.media.begin(self.account, "recording.wav")
        services.storage.put(media.storage_key, recording.wav)
        digest = sha1(recording.wav, usedforsecurity=False).hexdigest()
        media = services.media.stored(media.id, len(recording.wav), digest)
        request = {"model": model, "prompt": f"oracle: {prompt}", **more.pop("request", {})}
        new = NewJob(account_id=self.account, task="transcription", model=model, request=request, media=media, **more)
        job, _ = services.jobs.create(new)
        if dispatch:
            services.queue.send_job(job.id, job.queue)
        return job.id

    def let(self, name: str) -> None:
        """Those that were told to wait `until` this name go on."""
        (self.home / name).touch()

    def job(self, job_id: str) -> Job:
        """The row as it is now."""
        return self.services.jobs.get(self.account, job_id)

    def running(self, job_ids: Sequence[str]) -> int:
        """How many of them are being worked on."""
        return sum(self.job(job_id).status == JobStatus.PROCESSING for job_id in job_ids)

    def ended(self, *job_ids: str, seconds: float = 240) -> list[Job]:
        """Wait until all of them are terminal."""
        left = list(job_ids)

        def all_ended() -> bool:
            self.bury()
            left[:] = [job_id for job_id in left if self.job(job_id).status not in TERMINAL]
            return not left

        try:
            wait_until(all_ended, seconds=seconds)
        except AssertionError:
            raise AssertionError(self.report(left)) from None
        return [self.job(job_id) for job_id in job_ids]

    def transcript(self, job: Job) -> Transcript:
        """A completed job's result."""
        assert job.result_key, self.report([job.id])
        return transcript_from_json(self.services.storage.get(job.result_key))

    def assert_exact(self, job: Job, recording: Recording) -> None:
        """Completed, with no word lost or doubled."""
        assert job.status == JobStatus.COMPLETED, self.report([job.id])
        assert self.transcript(job).text.split() == list(recording.words)

    def calls(self) -> Counter[str]:
        """How often the provider was asked for each sound, over all processes and their deaths."""
        if not self.log.exists():
            return Counter()
        return Counter(line.split()[1] for line in self.log.read_text().splitlines())

    def assert_heard_once(self, jobs: Mapping[str, Recording], since: Counter[str]) -> None:
        """The provider was asked for each job's sound, of one chunk, exactly once since then, and for nothing else."""
        calls = self.calls() - since
        others = [job_id for job_id, recording in jobs.items() if calls[recording.digest] != 1]
        assert calls == Counter(recording.digest for recording in jobs.values()), self.report(others)

    def log_of(self, name: str) -> str:
        """The end of a role's log."""
        return (self.home / f"{name}.log").read_text(errors="replace")[-4000:]

    def report(self, job_ids: Sequence[str]) -> str:
        """What is known of jobs that did not end as they should, for the reader of a failed test."""
        lines = []
        for job_id in job_ids[:3]:
            job = self.job(job_id)
            lines += [f"{job_id} {job.status} {job.stage} attempt {job.attempt} lost {job.lost} error {job.error}"]
            events = self.services.jobs.events(self.account, job_id)
            lines += [f"   {event.at:.2f} {event.type} {event.data}" for event in events]
        lines += [f"--- {path.name}\n{path.read_text(errors='replace')[-2500:]}" for path in self.home.glob("*.log")]
        return "\n".join(lines)


def is_ready(port: int) -> bool:
    """Whether the api there says that it can work."""
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=60, trust_env=False).is_success
    except httpx2.HTTPError:
        return False


def holds_a_write_lock(pid: int) -> bool:
    """Whether the process holds an exclusive lock on any file, as SQLite does while it writes (proc_locks(5))."""
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(row[1:4] == ["POSIX", "ADVISORY", "WRITE"] and row[4] == str(pid) for row in rows)


def pid_of(worker: str) -> int:
    """The process of that worker's id."""
    return int(worker.rpartition(":")[2])


def _is_alive(pid: int) -> bool:
    try:
        return _runs(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: Sequence[psutil.Process], seconds: float = 60) -> list[psutil.Process]:
    """Those that still run after that time. One that nobody has reaped yet has ended all the same."""
    _, alive = psutil.wait_procs(processes, timeout=0)
    deadline = time.monotonic() + seconds
    while (alive := [process for process in alive if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
