"""Waiting for another process that writes to the same SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.database import busy_retry
from infra.database.busy_retry import retry_while_busy
from infra.database.session import Database

SHORT = 0.005  # seconds; with pauses of a tenth a heartbeat waited for a second beside busy writers


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else, who writes."""
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE made (x)")
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_whoever_waits_longest_tries_as_often_as_the_others(
    busy: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = pauses_until(busy, 500, monkeypatch)
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None, timeout=0)) as connection:
        retry_while_busy(connection, "BEGIN IMMEDIATE")
        assert connection.in_transaction
    assert len(pauses) == 500
    assert max(pauses) < SHORT


def test_a_writing_session_waits_so_and_reads_wait_as_before(
    busy: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    pauses = pauses_until(busy, 50, monkeypatch)
    with database.write() as session:
        assert session.execute(text("PRAGMA busy_timeout")).scalar_one() == 30_000
    assert len(pauses) == 50
    database.close()


def test_what_is_no_waiting_is_an_error_at_once(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "x.db")) as connection,
        pytest.raises(sqlite3.OperationalError, match="nowhere"),
    ):
        retry_while_busy(connection, "INSERT INTO nowhere VALUES (1)")


def pauses_until(busy: sqlite3.Connection, tries: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses to come; at the last of them the other one has done."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == tries:
            busy.execute("COMMIT")

    monkeypatch.setattr(busy_retry, "sleep", sleep)
    return pauses
