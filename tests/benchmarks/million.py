"""What 1,000,000 finished jobs cost an installation: the load view, a claim, lists and balances, against an empty one.

ROWS=… says how many.
"""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator

from sqlalchemy import text

from infra.database.session import Database
from infra.jobs.store import JobStore, NewJob
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from infra.operator_queries import OperatorQueries
from tests.benchmarks.report import Figure
from tests.support.database_servers import postgres_server

ROWS = int(os.environ.get("ROWS", "1000000"))
ROUNDS = 200
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
CHUNKS = """
INSERT INTO chunks (job_id, idx, span, queue, status, attempt, lost, failures, run_at, counted, handed_out)
SELECT id, 0, '{}', 'io', 'completed', 1, 0, 0, 1, 'measured', false FROM jobs WHERE status = 'completed'
"""


def measured(database: Database, account: str) -> dict[str, float]:
    """Milliseconds in the median, by what is done."""
    jobs, ledger, operator = JobStore(database), Ledger(database), OperatorQueries(database)
    new = NewJob(account_id=account, task="transcription", model="m", request={})

    def look_at_load() -> None:
        with database.read() as session:
            session.execute(text("SELECT * FROM stenopool_load")).all()

    def claim() -> None:
        jobs.create(new)
        claimed = jobs.claim_next("cpu", "w")
        assert claimed is not None
        jobs.delete(account, claimed.job.id, force=True)

    acts: dict[str, Callable[[], object]] = {
        "the view stenopool_load": look_at_load,
        "submit, claim, delete": claim,
        "an account's page of jobs": lambda: jobs.list(account, limit=20),
        "the operator's page of jobs": lambda: operator.jobs(limit=20, account_id=account),
        "a balance": lambda: ledger.balance(account),
    }
    return {name: _median(act) for name, act in acts.items()}


def _median(act: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def run() -> Iterator[Figure]:
    with postgres_server() as server, server.fresh() as url, contextlib.closing(Database(url)) as database:
        database.migrate()
        account = Accounts(database).create_account("benchmark", "enterprise").id
        Ledger(database).top_up(account, 1_000_000)
        before = measured(database, account)
        with database.connection() as connection:
            for statement in ("SET session_replication_role = replica", "SET statement_timeout = 0"):
                connection.execute(text(statement))
            connection.execute(text(FINISHED), {"account": account, "rows": ROWS})
            connection.execute(text(CHUNKS))
            connection.commit()
        with database.connection() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()
        for name, after in measured(database, account).items():
            ratio = after / before[name]
            good = after <= MOST * before[name] + SLACK
            yield Figure(
                f"{name}, {ROWS:,} finished", f"{after:.2f} ms", f"{before[name]:.2f} ms", ratio, f"<= {MOST}", good
            )
