"""What 1,000,000 finished jobs cost an installation: its metrics, a claim, lists and balances, against an empty one.

Both are asked in turn, so that what else the machine does is in both figures. Each job has its chunk, its receipt, an entry of the
ledger, one of its timeline and a webhook that was delivered. ROWS=… says how many.
"""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from sqlalchemy import text

from infra.broker import JobQueue
from infra.database.session import Database
from infra.embedded_redis import PrivateRedis
from infra.jobs.store import JobStore, NewJob
from infra.keys.accounts import Accounts
from infra.metrics import Metrics
from infra.money.ledger import Ledger
from infra.operator_queries import OperatorQueries
from infra.webhooks.store import WebhookStore
from infra.worker_heartbeats import WorkerStore
from tests.benchmarks.report import Figure
from tests.support.database_servers import postgres_server

ROWS = int(os.environ.get("ROWS", "1000000"))
ROUNDS = 100
MOST, SLACK = 2.0, 0.5  # times an empty one; milliseconds that are noise
FINISHED = """
INSERT INTO jobs (id, account_id, task, model, request, input, status, stage, priority, queue, run_at, created_at, ended_at,
    completed_at, expires_at, cut_done, chunks_total, chunks_completed, version, attempt, run, lost, failures, kept, partial,
    audio_samples, chunks_failed, chunks_retried, samples_done, stored_bytes, audio_ratio, estimated_micro, held_micro,
    captured_micro, holds, counted)
SELECT 'job_' || lpad(n::text, 26, '0'), :account, 'transcription', 'm', '{}', '{}', 'completed', 'done', 0, 'cpu', n, n, n + 1,
    n + 1, 4e9, true, 1, 1, 5, 1, 1, 0, 0, true, false, 32000, 0, 0, 32000, 0, '1', 0, 0, 0, 0, 'measured'
FROM generate_series(1, :rows) AS n
"""
OF_EACH = (
    """
INSERT INTO chunks (job_id, idx, span, queue, status, attempt, lost, failures, run_at, counted, handed_out)
SELECT id, 0, '{}', 'io', 'completed', 1, 0, 0, 1, 'measured', false FROM jobs WHERE status = 'completed'
""",
    """
INSERT INTO ledger (account_id, subject, kind, part, delta, amount, at)
SELECT account_id, id, 'capture', 0, 0, 6, created_at FROM jobs WHERE status = 'completed'
""",
    """
INSERT INTO receipts (id, account_id, subject, task, model, audio_ms, characters, counted, ratio, cost, created_at, updated_at)
SELECT 'rcpt_' || substr(id, 5), account_id, id, 'transcription', 'm', 2000, 0, 'measured', '1', 6, created_at, created_at
FROM jobs WHERE status = 'completed'
""",
    """
INSERT INTO job_events (job_id, at, type)
SELECT id, created_at, 'completed' FROM jobs WHERE status = 'completed'
""",
    """
INSERT INTO webhook_messages (id, account_id, job_id, subject, target, receiver, type, url, body, status, attempts, schedule_from,
    created_at, delivered_at)
SELECT 'evt_' || substr(id, 5), account_id, id, id, 'job', 'r', 'audio.job.completed', 'https://example.org', '{}', 'delivered',
    1, 0, ended_at, ended_at FROM jobs WHERE status = 'completed'
""",
)


def acts(database: Database, account: str, broker: JobQueue) -> dict[str, Callable[[], object]]:
    """What is done, by its name."""
    jobs, ledger, operator = JobStore(database), Ledger(database), OperatorQueries(database)
    metrics, webhooks, workers = Metrics(), WebhookStore(database), WorkerStore(database)
    new = NewJob(account_id=account, task="transcription", model="m", request={})

    def look_at_load() -> None:
        with database.read() as session:
            session.execute(text("SELECT * FROM stenopool_load")).all()

    def claim() -> None:
        jobs.create(new)
        claimed = jobs.claim_next("cpu", "w")
        assert claimed is not None
        jobs.delete(account, claimed.job.id, force=True)

    return {
        "GET /metrics": lambda: metrics.render(jobs, broker, webhooks, workers),
        "the view stenopool_load": look_at_load,
        "submit, claim, delete": claim,
        "an account's page of jobs": lambda: jobs.list(account, limit=20),
        "the operator's page of jobs": lambda: operator.jobs(limit=20, account_id=account),
        "a balance": lambda: ledger.balance(account),
    }


def medians(*same: Callable[[], object]) -> list[float]:
    """Milliseconds that each takes, in turn."""
    took: list[list[float]] = [[] for _ in same]
    for _ in range(ROUNDS):
        for act, times in zip(same, took, strict=True):
            began = time.perf_counter()
            act()
            times.append((time.perf_counter() - began) * 1000)
    return [statistics.median(times) for times in took]


def account_in(database: Database) -> str:
    """With money."""
    database.migrate()
    account = Accounts(database).create_account("benchmark", "enterprise").id
    Ledger(database).top_up(account, 1_000_000)
    return account


def fill(database: Database, account: str) -> None:
    """Straight into the tables: jobs with the triggers that count them, the rest without looking up what it belongs to."""
    with database.connection() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(FINISHED), {"account": account, "rows": ROWS})
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in OF_EACH:
            connection.execute(text(statement))
        connection.execute(text("ANALYZE"))
        connection.commit()
    JobStore(database).fold_counts()  # as a scheduler does every few seconds


def run() -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory() as home,
        PrivateRedis(Path(home)) as redis,
        contextlib.closing(JobQueue(lambda: redis.url)) as broker,
        postgres_server() as server,
        server.fresh() as empty_url,
        server.fresh() as full_url,
        contextlib.closing(Database(empty_url)) as empty,
        contextlib.closing(Database(full_url)) as full,
    ):
        account = account_in(full)
        fill(full, account)
        with psycopg.connect(full_url, autocommit=True) as connection:
            connection.execute("VACUUM job_count_changes")  # as PostgreSQL does by itself
        in_empty, in_full = acts(empty, account_in(empty), broker), acts(full, account, broker)
        for name, act in in_full.items():
            before, after = medians(in_empty[name], act)
            good = after <= MOST * before + SLACK
            yield Figure(
                f"{name}, {ROWS:,} finished", f"{after:.2f} ms", f"{before:.2f} ms", after / before, f"<= {MOST}", good
            )
