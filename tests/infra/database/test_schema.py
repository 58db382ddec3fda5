"""Migrations: they make what the tables say, whoever starts first."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from infra.database.migrations import schema
from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.money import OpenHold, OpenMinutes
from infra.database.tables.uploads import Media
from infra.keys.account_limits import recounted
from infra.settings import Settings
from pipeline.errors import StenopoolError
from tests.support.repository import ROOT


def test_the_migrations_make_the_tables(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    database.migrate()
    with database.connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Job.metadata) == []
    database.close()


def test_migrating_twice_is_migrating_once(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    assert database.check()["migration"] is None
    for _ in range(2):
        database.migrate()
        facts = database.check()
        assert facts["migration"] == facts["expected"] == schema.head()
    database.close()


@pytest.mark.processes
def test_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    code = f"from infra.database.session import Database; Database({empty_database_url!r}).migrate()"
    starts = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    complaints = [start.communicate(timeout=300)[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], complaints
    database = Database(empty_database_url)
    assert database.check()["migration"] == schema.head()
    database.close()


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    with pytest.raises(StenopoolError, match="from the future"):
        database.migrate()
    assert database.check()["migration"] == "from the future"


def test_threads_migrate_different_databases_at_once(tmp_path: Path) -> None:
    databases = [Database(f"sqlite:///{tmp_path / str(number)}.db") for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(Database.migrate, databases))
    assert {database.check()["migration"] for database in databases} == {schema.head()}
    for database in databases:
        database.close()


def test_a_home_with_strange_characters_is_a_home(tmp_path: Path) -> None:
    home = tmp_path / "ho me%20ü?#"
    database = Database(Settings(home=home).database)
    database.migrate()
    assert (home / "stenopool.db").exists()
    database.close()


def test_steps_follow_each_other_in_one_line() -> None:
    steps = ScriptDirectory.from_config(schema.config())
    assert steps.get_heads() == [schema.head()]
    assert all(not step.is_branch_point and schema.knows(step.revision) for step in steps.walk_revisions())
    assert not schema.knows("9999")


def test_what_is_held_outlives_a_step(database: Database) -> None:
    """Down and up again, as it is when a step that rebuilds tables runs while requests are under way."""
    with database.write() as session:
        session.add(Account(id="a", created_at=1.0))
        session.flush()
        session.add(OpenHold(subject="held", account_id="a", held=7, opened_at=2.5))
        session.add(OpenMinutes(subject="taken", account_id="a", day="2026-01-01", taken=8, before=9, opened_at=3.5))
    settings = schema.config()
    with database.connection() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0005")
        assert schema.current(connection) == "0005"
        connection.commit()
    database.migrate()
    with database.read() as session:
        held, taken = session.get_one(OpenHold, "held"), session.get_one(OpenMinutes, "taken")
    assert (held.account_id, held.held, held.parts, held.opened_at) == ("a", 7, 1, 2.5)
    assert (taken.account_id, taken.day, taken.taken, taken.before, taken.opened_at) == ("a", "2026-01-01", 8, 9, 3.5)


def test_what_is_stored_already_is_counted_by_the_step_that_adds_the_counters(database: Database) -> None:
    job = {
        "account_id": "a",
        "task": "speech",
        "model": "m",
        "request": {},
        "input": {},
        "run_at": 1.0,
        "created_at": 1.0,
    }
    media = {"account_id": "a", "storage_key": "k", "created_at": 1.0, "touched_at": 1.0, "bytes": 100}
    sound = {"key": "k", "bytes": 30}
    with database.write() as session:
        session.add_all([Account(id="a", created_at=1.0), Account(id="b", created_at=1.0)])
        session.flush()
        session.add_all(Media(id=state, state=state, **media) for state in ("pending", "stored", "deleted"))
        session.add_all(Job(id=status, status=status, **job) for status in ("queued", "failed", "cancelled"))
        session.add(Job(id="spoken", status="completed", sound=sound, **job))
        session.add(Job(id="purged", status="completed", sound=sound, purged_at=2.0, **job))
    settings = schema.config()
    with database.connection() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0006")
        connection.commit()
    database.migrate()
    with database.read() as session:
        counted = [
            (session.get_one(Account, one).stored_bytes, session.get_one(Account, one).stored_results) for one in "ab"
        ]
        assert recounted(session, "a") == (130, 3)
    assert counted == [(130, 3), (0, 0)]
