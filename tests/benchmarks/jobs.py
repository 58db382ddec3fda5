"""Jobs of 2 seconds of oracle speech: how many a second, and what each costs of all processors together.

Against bare no-op Celery tasks on the same Redis, and a bare ffmpeg that decodes the same file, in the same run.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.embedded_redis import PrivateRedis
from infra.jobs.store import NewJob
from infra.settings import Settings
from infra.wiring import Services, build
from tests.benchmarks.cutter import bare_ffmpeg
from tests.benchmarks.noop import app, note
from tests.benchmarks.processor_time import processor_seconds
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording
from tests.support.database_servers import private_postgres

TASKS = 5000
JOBS = int(os.environ.get("JOBS", "300"))
DECODINGS = 50
MOST = 1.9  # times what a bare ffmpeg costs


@dataclass(frozen=True)
class Run:
    """Jobs a second, and processor seconds of each: of submitting it, and of every process that works on it."""

    rate: float
    submission: float
    work: float

    @property
    def seconds(self) -> float:
        return self.submission + self.work


@contextmanager
def process(*arguments: str, environ: dict[str, str]) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=os.environ | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            yield child.pid
        finally:
            child.terminate()


def noop_rate(url: str, folder: Path) -> float:
    """Bare tasks per second, from the first send to the last one done, two worker processes."""
    app.conf.broker_url = url
    warm, done = folder / "warm", folder / "done"
    with process(
        "celery", "-A", "tests.benchmarks.noop", "worker", "-c", "2", "-l", "ERROR", environ={"NOOP_BROKER": url}
    ):
        note.delay(str(warm), True)
        wait_for(warm.exists)
        started = time.monotonic()
        for number in range(TASKS):
            note.delay(str(done), number == TASKS - 1)
        wait_for(done.exists)
        return TASKS / (time.monotonic() - started)


def bare_decoding(path: Path) -> float:
    """Processor seconds of an ffmpeg alone that decodes it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(DECODINGS):
        bare_ffmpeg(path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / DECODINGS


def wait_for(condition: Callable[[], bool], seconds: float = 180, every: float = 0.02) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not done in time"
        time.sleep(every)


def submit(services: Services, account: str, sound: bytes) -> None:
    """What the API does for an upload, without HTTP."""
    media = services.media.begin(account, "two")
    with services.storage.writer(media.storage_key) as writer:
        writer.write(sound)
    stored = services.media.stored(media.id, writer.bytes, writer.sha256)
    new = NewJob(account_id=account, task="transcription", model="oracle", request={"model": "oracle"}, media=stored)
    job, _ = services.jobs.create(new)
    services.queue.send_job(job.id, job.queue)


def job_run(settings: Settings, broker: PrivateRedis, path: Path) -> Run:
    """Whole jobs: stored, queued, decoded, cut, heard, stitched, published. A database's server is nobody's process here."""
    environ = {
        "STENOPOOL_HOME": str(settings.home),
        "STENOPOOL_REDIS_URL": settings.redis_url,
        "STENOPOOL_DATABASE_URL": settings.database_url,
    }
    sound = path.read_bytes()
    with (
        build(settings) as services,
        process("workers", "cpu", environ=environ) as worker,
        process("workers", "scheduler", environ=environ) as scheduler,
    ):
        account = services.accounts.create_account("benchmark", "enterprise").id
        warm = 2 * settings.cpu_processes  # so that every process has had one
        for _ in range(warm):
            submit(services, account, sound)
        wait_for(lambda: completed(services) == warm)
        others = (worker, scheduler, *filter(None, [broker.pid]))
        began, before, own = time.monotonic(), processor_seconds(*others), time.process_time()
        for _ in range(JOBS):
            submit(services, account, sound)
        submitting = time.process_time() - own
        wait_for(lambda: completed(services) == JOBS + warm, every=0.1)
        took, spent = time.monotonic() - began, processor_seconds(*others) - before
    return Run(JOBS / took, submitting / JOBS, spent / JOBS)


def completed(services: Services) -> int:
    count: int = services.jobs.counts()["jobs"].get("completed", 0)
    return count


def figures(suffix: str, run: Run, bare: float) -> Iterator[Figure]:
    """The goal is one of recordings that need no decoder; what others cost is told beside it."""
    parts = f"submission {run.submission * 1000:.1f}"
    ratio, has_goal = run.seconds / bare, suffix == "wav"
    yield Figure(
        f"processor time of a job ({suffix}), {parts} ms of it",
        f"{run.seconds * 1000:.1f} ms",
        f"ffmpeg {bare * 1000:.1f} ms",
        ratio,
        f"<= {MOST}" if has_goal else "",
        ratio <= MOST if has_goal else None,
    )


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = oracle_recording(folder, seconds=2, style="natural", suffixes=["wav", "mp3"])
        with PrivateRedis(folder) as broker:
            noop = noop_rate(broker.url, folder)
            for suffix, path in paths.items():
                settings = Settings(home=folder / suffix, redis_url=broker.url)
                jobs = job_run(settings, broker, path)
                title = f"{JOBS} jobs of 2 s ({suffix}), SQLite, 2 processes"
                yield Figure(title, f"{jobs.rate:.1f}/s", f"no-op {noop:.0f}/s", jobs.rate / noop)
                yield from figures(suffix, jobs, bare_decoding(path))
            with private_postgres() as url:
                settings = Settings(home=folder / "postgres", redis_url=broker.url, database_url=url)
                jobs = job_run(settings, broker, paths["wav"])
            title = f"{JOBS} jobs of 2 s (wav), PostgreSQL, 2 processes"
            yield Figure(title, f"{jobs.rate:.1f}/s", f"no-op {noop:.0f}/s", jobs.rate / noop)
