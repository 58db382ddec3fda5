"""A real PgBouncer in transaction mode: every transaction may have another connection of the server."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from infra.database.connection_budget import FACT, connection_budget
from infra.database.migrations import schema
from infra.database.postgres_engine import SESSION
from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.worker_heartbeats import WorkerStore
from tests.support.database_servers import PostgresServer
from tests.support.pgbouncer import CONNECTIONS, pgbouncer

pytestmark = pytest.mark.processes
TIMES = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture
def pooled_url(postgres_url: str) -> Iterator[str]:
    with pgbouncer(postgres_url) as url:
        yield url


def limits(session: Session | Connection) -> dict[str, str]:
    return {name: session.execute(text(f"SHOW {name}")).scalar_one() for name in TIMES}


def test_a_schema_is_made_through_it(postgres: PostgresServer) -> None:
    with postgres.fresh() as url, pgbouncer(url) as pooled, contextlib.closing(Database(pooled)) as database:
        database.migrate()
        assert database.check()["migration"] == schema.head()


def test_statements_that_come_again_work_on_whatever_connection_they_meet(pooled_url: str) -> None:
    """The driver prepares what it has seen five times, and PgBouncer 1.18 knows nothing of that."""
    with contextlib.closing(Database(pooled_url)) as database:
        with database.write() as session:
            session.add(Account(id="a", tier="0", created_at=1.0))

        def add_one(_: int) -> int:
            with database.write() as session:
                account = session.get_one(Account, "a", with_for_update=True)
                account.tier = str(int(account.tier) + 1)
                return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())

        with ThreadPoolExecutor(8) as threads:
            servers = set(threads.map(add_one, range(200)))
        with database.read() as session:
            assert session.scalars(select(Account)).one().tier == "200"
    assert 1 <= len(servers) <= CONNECTIONS


def test_every_transaction_has_its_limits_and_leaves_none_behind(pooled_url: str, postgres_url: str) -> None:
    with contextlib.closing(Database(pooled_url)) as database:
        for _ in range(3):
            with database.write() as session:
                session.execute(text("SET LOCAL statement_timeout = 0"))
            with database.read() as session:
                assert limits(session) == {name: SESSION[name].replace("60s", "1min") for name in TIMES}
        with database.connection() as connection:  # its own way, beside sessions
            assert limits(connection)["lock_timeout"] == "10s"
    with psycopg.connect(
        pooled_url, autocommit=True, prepare_threshold=None
    ) as bare:  # the same connections of the server
        assert [bare.execute(f"SHOW {name}").fetchone() for name in TIMES] == [("0",)] * len(TIMES)
    with contextlib.closing(Database(postgres_url)) as direct, direct.read() as session:
        assert limits(session)["statement_timeout"] == "20s"


def test_a_block_that_raises_leaves_nothing(pooled_url: str) -> None:
    with contextlib.closing(Database(pooled_url)) as database:
        with pytest.raises(ZeroDivisionError), database.write() as session:
            session.add(Account(id="a", created_at=1.0))
            session.flush()
            raise ZeroDivisionError
        with database.read() as session:
            assert session.get(Account, "a") is None


def test_what_processes_may_open_is_added_up(pooled_url: str, postgres_url: str) -> None:
    with contextlib.closing(Database(postgres_url)) as direct, contextlib.closing(Database(pooled_url)) as pooled:
        for number in range(3):
            WorkerStore(direct).beat(f"w{number}", "cpu", "here", number, {FACT: 30})
        WorkerStore(direct).beat("of an older version", "io", "here", 9, {})
        budget = connection_budget(direct, 60)
        assert budget is not None
        assert (budget.claimed, budget.workers, budget.is_pooled) == (90, 4, False)
        assert 0 < budget.taken <= budget.allowed
        assert budget.suffices(budget.allowed - 90) and not budget.suffices(budget.allowed - 89)
        through = connection_budget(pooled, 60)
        assert through is not None and through.is_pooled and through.suffices(10_000)


def test_a_process_opens_no_more_than_it_may(postgres_url: str) -> None:
    with contextlib.closing(Database(postgres_url, connections=4)) as database, ThreadPoolExecutor(16) as threads:

        def who(_: int) -> int:
            with database.read() as session:
                return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())

        assert 1 <= len(set(threads.map(who, range(200)))) <= 4


def test_a_file_counts_no_connections(sqlite_url: str) -> None:
    with contextlib.closing(Database(sqlite_url)) as database:
        assert connection_budget(database, 60) is None
