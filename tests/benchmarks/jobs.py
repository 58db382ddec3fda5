"""Jobs of 2 seconds of oracle speech per second, against bare no-op Celery tasks on the same Redis in the same run."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded_redis import PrivateRedis
from infra.jobs.store import NewJob
from infra.settings import Settings
from infra.wiring import Services, build
from tests.benchmarks.noop import app, note
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording

TASKS = 5000
JOBS = 300


@contextmanager
def process(*arguments: str, environ: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=os.environ | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            yield
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


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not done in time"
        time.sleep(0.02)


def submit(services: Services, account: str, sound: bytes) -> None:
    """What the API does for an upload, without HTTP."""
    media = services.media.begin(account, "two.wav")
    with services.storage.writer(media.storage_key) as writer:
        writer.write(sound)
    services.media.stored(media.id, writer.bytes, writer.sha256)
    stored = services.media.get(account, media.id)
    new = NewJob(account_id=account, task="transcription", model="oracle", request={"model": "oracle"}, media=stored)
    job, _ = services.jobs.create(new)
    services.queue.send_job(job.id, job.queue)


def job_rate(settings: Settings, sound: bytes) -> float:
    """Whole jobs per second: stored, queued, decoded, cut, heard, stitched, published."""
    environ = {"STENOPOOL_HOME": str(settings.home), "STENOPOOL_REDIS_URL": settings.redis_url}
    with (
        build(settings) as services,
        process("workers", "cpu", environ=environ),
        process("workers", "scheduler", environ=environ),
    ):
        account = services.accounts.create_account("benchmark", "enterprise").id
        submit(services, account, sound)
        wait_for(lambda: services.jobs.counts()["jobs"].get("completed") == 1)
        started = time.monotonic()
        for _ in range(JOBS):
            submit(services, account, sound)
        wait_for(lambda: services.jobs.counts()["jobs"].get("completed") == JOBS + 1)
        return JOBS / (time.monotonic() - started)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = oracle_recording(folder, seconds=2, style="natural", suffixes=["wav"])["wav"].read_bytes()
        with PrivateRedis(folder) as broker:
            noop = noop_rate(broker.url, folder)
            jobs = job_rate(Settings(home=folder, redis_url=broker.url), sound)
    yield Figure(f"{JOBS} jobs of 2 s, SQLite, 2 processes", f"{jobs:.1f}/s", f"no-op {noop:.0f}/s", jobs / noop)
