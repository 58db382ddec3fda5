"""What a job costs of everything that all machines share: PostgreSQL's log and transactions, S3, Redis; and claims a second.

docs/capacity.md reckons with these figures.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from infra.database.session import Database
from infra.embedded_redis import PrivateRedis
from infra.jobs.store import JobStore, NewJob
from infra.keys.accounts import Accounts
from infra.leases import LeaseKeeper
from infra.settings import Settings
from infra.wiring import Services, build
from tests.benchmarks.jobs import submit
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording
from tests.support.database_servers import postgres_server
from tests.support.s3_server import S3Server, moto_server
from workers.steps.turn import take_turn
from workers.worker_context import WorkerContext

JOBS = int(os.environ.get("JOBS", "40"))
CLAIMS = 400
_SHARED = text(
    "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), (SELECT xact_commit FROM pg_stat_database "
    "WHERE datname = current_database()), pg_database_size(current_database())"
)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, postgres_server() as server:
        with server.fresh() as url:
            yield from _of_a_job(Path(name), url)
        for threads in (1, 4, 16):
            with server.fresh() as url:
                yield Figure(f"claims on PostgreSQL, {threads} at once", f"{_claims(url, threads):.0f}/s")


def _of_a_job(folder: Path, url: str) -> Iterator[Figure]:
    """One worker, in this process: what is counted is what it asks for, and not how long that takes."""
    sound = oracle_recording(folder, seconds=60, style="natural", suffixes=["wav"])["wav"].read_bytes()
    with moto_server() as s3, pytest.MonkeyPatch.context() as patch, PrivateRedis(folder) as broker:
        s3.use(patch)
        settings = Settings(home=folder / "home", redis_url=broker.url, database_url=url, storage_url="s3://capacity")
        with build(settings, engine_processes=1) as services:
            account = services.accounts.create_account("benchmark", "enterprise").id
            keeper = LeaseKeeper(services.jobs, 600.0)
            worker = WorkerContext(services, keeper, "cpu", "cpu@here:1")
            _do(worker, account, sound, 2)
            before = _shared(services, s3, broker.url)
            _do(worker, account, sound, JOBS)
            after = _shared(services, s3, broker.url)
            keeper.close()
    for name, (unit, size) in _UNITS.items():
        yield Figure(f"{name} of a job of 60 s", f"{(after[name] - before[name]) / JOBS / size:.1f} {unit}".strip())


def _do(worker: WorkerContext, account: str, sound: bytes, jobs: int) -> None:
    for _ in range(jobs):
        submit(worker.services, account, sound)
    while take_turn(worker):
        pass
    assert not worker.services.jobs.due()["cpu"]


_UNITS = {
    "PostgreSQL's log (WAL)": ("KiB", 1024),
    "transactions": ("", 1),
    "the database's growth": ("KiB", 1024),
    "requests to S3": ("", 1),
    "commands to Redis": ("", 1),
}


def _shared(services: Services, s3: S3Server, broker: str) -> dict[str, float]:
    with services.database.read() as session:
        values = [float(value) for value in session.execute(_SHARED).one()]
    with redis.Redis.from_url(broker) as client:
        commands = float(client.info("stats")["total_commands_processed"])
    return dict(zip(_UNITS, [*values, float(s3.requests.total()), commands], strict=True))


def _claims(url: str, threads: int) -> float:
    """By so many threads of one process, from a backlog of several accounts."""
    with contextlib.closing(Database(url)) as database:
        database.migrate()
        jobs = JobStore(database)
        accounts = [Accounts(database).create_account(str(number), "enterprise").id for number in range(4)]
        for number in range(CLAIMS):
            jobs.create(NewJob(account_id=accounts[number % 4], task="transcription", model="m", request={}))
        began = time.monotonic()
        with ThreadPoolExecutor(threads) as workers:
            taken = list(workers.map(lambda number: jobs.claim_next("cpu", f"w{number}"), range(CLAIMS)))
        assert all(taken)
        return CLAIMS / (time.monotonic() - began)
