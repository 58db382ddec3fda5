"""Transactions, the clock, errors."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import uvloop
from sqlalchemy import bindparam, select, text, update

from infra.database import wal_checkpointer
from infra.database.clock import now, read_clock
from infra.database.session import Database, run
from infra.database.tables.accounts import Account
from pipeline.concurrency.greenlet_io import run_in_greenlet
from pipeline.errors import DatabaseUnavailable, InvalidRequest
from tests.support.waiting import wait_until

RENAME = update(Account).values(name=bindparam("new"))


def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as session:
        session.add(Account(id="a", created_at=1.0))
        session.flush()
        raise ZeroDivisionError
    with database.read() as session:
        assert session.get(Account, "a") is None


def test_rows_stay_readable_after_their_session(database: Database) -> None:
    with database.write() as session:
        account = Account(id="a", name="Ada", created_at=1.0)
        session.add(account)
    assert account.name == "Ada"


def test_the_clock_has_a_fraction_and_is_about_right(database: Database) -> None:
    with database.read() as session:
        times = [read_clock(session) for _ in range(20)]
        assert abs(times[-1] - time.time()) < 60
        assert times == sorted(times)
        assert any(reading % 1 for reading in times)


def test_the_clock_goes_on_inside_a_transaction(database: Database) -> None:
    with database.write() as session:
        first = read_clock(session)
        while session.execute(select(now())).scalar_one() <= first:
            time.sleep(0.001)


def test_writers_wait_for_each_other(database: Database) -> None:
    """A read and a write in one transaction, from many threads: nobody is told that the database is locked."""
    with database.write() as session:
        session.add(Account(id="a", tier="0", created_at=1.0))

    def add_one(_: int) -> None:
        with database.write() as session:
            account = session.get(Account, "a", with_for_update=True)
            assert account is not None
            account.tier = str(int(account.tier) + 1)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(add_one, range(100)))
    with database.read() as session:
        assert session.scalars(select(Account)).one().tier == "100"


def test_two_engines_write_to_one_file(database_url: str) -> None:
    """Like two processes: each has connections and a queue of its own."""
    databases = [Database(database_url) for _ in range(4)]

    def add(number: int) -> None:
        with databases[number % 4].write() as session:
            session.add(Account(id=f"a{number}", created_at=read_clock(session)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(64)))
    with databases[0].read() as session:
        assert len(session.scalars(select(Account)).all()) == 64
    for database in databases:
        database.close()


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    written, read = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as session:
            session.add(Account(id="a", created_at=1.0))
            session.flush()
            written.set()
            assert read.wait(60)

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        assert written.wait(60)
        with database.read() as session:
            assert session.get(Account, "a") is None
        read.set()
        writing.result()


def test_a_database_that_is_away_says_so() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    for use in (database.migrate, database.check):
        with pytest.raises(DatabaseUnavailable) as raised:
            use()
        assert "127.0.0.1" not in str(raised.value)
    with pytest.raises(DatabaseUnavailable), database.read() as session:
        session.execute(text("SELECT 1"))
    database.close()


def test_connections_that_the_server_closed_are_replaced(postgres_url: str) -> None:
    database, killer = Database(postgres_url), Database(postgres_url)
    with database.read() as session:
        session.execute(text("SELECT 1"))
    with killer.write() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    with database.read() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1
    with pytest.raises(DatabaseUnavailable), database.write() as session:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    database.close()
    killer.close()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "sqlite://", "nonsense"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidRequest, match="sqlite:///file or postgresql://"):
        Database(url)


def test_sqlite_is_set_up_to_survive(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.read() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    database.close()


@pytest.mark.parametrize("given", ["a\0b", "\0"])
def test_what_no_text_may_hold_is_the_callers_mistake(database: Database, given: str) -> None:
    """SQLite takes it and finds nothing; PostgreSQL refuses it."""
    with contextlib.suppress(InvalidRequest), database.read() as session:
        assert session.get(Account, given) is None


def test_the_log_is_copied_back_while_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies, copy = [0], wal_checkpointer.WalCheckpointer._copy

    def counted(self: wal_checkpointer.WalCheckpointer, connection: sqlite3.Connection) -> None:
        copy(self, connection)
        copies[0] += 1

    def copied(times: int) -> bool:
        return copies[0] >= times

    monkeypatch.setattr(wal_checkpointer, "COMMITS", 50)
    monkeypatch.setattr(wal_checkpointer, "_PATIENCE", 60.0)
    monkeypatch.setattr(wal_checkpointer.WalCheckpointer, "_copy", counted)
    log = tmp_path / "s.db-wal"
    sizes = []
    with contextlib.closing(Database(f"sqlite:///{tmp_path / 's.db'}")) as database:
        database.migrate()
        with database.write() as session:
            session.add(Account(id="a", created_at=1.0))
        for number in range(1000):
            with database.raw_transaction() as session:
                run(session, RENAME, {"new": str(number) * 500})
            sizes.append(log.stat().st_size)
            if number % 100 == 99:  # twice as many as make it due: it has its time, however slow its thread
                wait_until(partial(copied, number // 100 + 1))
        with database.read() as session:
            assert session.get_one(Account, "a").name == "999" * 500
    assert not log.exists()
    written = sizes[20] - sizes[10]  # by ten commits
    assert written > 0
    assert max(sizes) - sizes[0] < 40 * written  # of the hundred times that


def test_a_raw_transaction_in_a_greenlet_lets_the_loop_go_on_while_the_file_is_busy(tmp_path: Path) -> None:
    """Another process has the file, then another thread has this process' turn."""
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    database.migrate()
    with database.write() as session:
        session.add(Account(id="a", created_at=1.0))
    assert database.is_prompt

    def rename(new: str) -> None:
        with database.raw_transaction() as session:
            run(session, RENAME, {"new": new})

    async def renamed(holder: contextlib.AbstractContextManager[object], new: str) -> None:
        with holder:
            under_way = run_in_greenlet(partial(rename, new), asyncio.to_thread)
            turns = 0
            while turns < 20:  # the loop goes on
                await asyncio.sleep(0.001)
                turns += 1
            assert not under_way.done()
        await asyncio.wait_for(under_way, 60)

    rename("first")
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        with contextlib.ExitStack() as held:
            held.callback(other.execute, "ROLLBACK")
            uvloop.run(renamed(held.pop_all(), "second"))
    uvloop.run(renamed(database.write(), "third"))
    with database.read() as session:
        assert session.scalars(select(Account.name)).all() == ["third"]
    database.close()


@pytest.mark.parametrize(("before", "after"), [(None, 1024), (4096, 4096)])
def test_a_file_that_is_there_keeps_the_size_of_its_pages(tmp_path: Path, before: int | None, after: int) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as bare:
        if before:
            bare.execute(f"PRAGMA page_size={before}")
            bare.execute("CREATE TABLE of_old (id INTEGER)")
    with contextlib.closing(Database(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        database.migrate()
        with database.raw_transaction() as session:
            run(session, RENAME, {"new": "nobody"})
        with database.connection() as connection:
            assert connection.execute(text("PRAGMA page_size")).scalar_one() == after
            assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


def test_a_type_that_a_migration_changes_under_us_costs_one_look(postgres_url: str) -> None:
    """PostgreSQL never again executes what a connection of before has prepared; a new connection prepares it anew."""
    look = text("SELECT n FROM counted")
    with contextlib.closing(Database(postgres_url)) as old, contextlib.closing(Database(postgres_url)) as new:
        with new.write() as session:
            session.execute(text("CREATE TABLE counted (n INTEGER)"))
        for _ in range(10):  # the driver prepares what comes again, until something is rolled back
            with old.write() as session:
                session.execute(look).all()
        with new.write() as session:
            session.execute(text("ALTER TABLE counted ALTER n TYPE BIGINT"))
        with pytest.raises(DatabaseUnavailable), old.write() as session:
            session.execute(look).all()
        with old.write() as session:
            assert session.execute(look).all() == []
