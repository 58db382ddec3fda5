"""Bring a database's schema up to date, and tell where it stands."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from infra.database.migrations.newer_schema import NewerSchema
from pipeline.errors import InvalidRequest

_LOCK = 0x57E90  # any number, as long as nobody else's advisory lock in this database has it
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it works on in a global


def upgrade(connection: Connection) -> None:
    """Run what is missing, inside the caller's transaction.

    Of several processes that start at once, one migrates and the others wait: on PostgreSQL for the advisory lock, on
    SQLite for the write lock that BEGIN IMMEDIATE already holds. Raises NewerSchema.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(
            text("SET LOCAL idle_in_transaction_session_timeout = 0")
        )  # a busy machine thinks long between steps
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    settings = config()
    settings.attributes["connection"] = connection
    try:
        with _ONE_AT_A_TIME:
            command.upgrade(settings, "head")
    except CommandError as error:
        found = current(connection)
        raise NewerSchema(f"The database is at step {found}, which this version does not know.") from error


def knows(step: str) -> bool:
    """Whether this code has such a step: a newer version's it has not."""
    return step in _steps()


def downgrade(connection: Connection, step: str) -> None:
    """Undo what came after this step, inside the caller's transaction. Raises InvalidRequest for a step that is none of those
    behind us."""
    settings = config()
    found = current(connection)
    behind = (
        [one.revision for one in ScriptDirectory.from_config(settings).iterate_revisions(found, "base")]
        if found
        else []
    )
    if step not in behind:
        raise InvalidRequest(
            f"{step} is no step behind {found}: {', '.join(sorted(behind)) or 'there is none'}.", param="--to"
        )
    settings.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.downgrade(settings, step)


def head() -> str | None:
    """The step this code expects."""
    return next(iter(_steps()), None)


@cache
def _steps() -> tuple[str, ...]:
    """All of this code's, the newest first. To find them is to run every step's file: once, and not in each fork of `up`."""
    return tuple(script.revision for script in ScriptDirectory.from_config(config()).walk_revisions())


def current(connection: Connection) -> str | None:
    """The step the database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def config() -> Config:
    """Where Alembic finds the steps: beside this file, wherever the package is installed."""
    settings = Config()
    here = str(Path(__file__).parent)
    settings.set_main_option("script_location", here.replace("%", "%%"))  # ConfigParser interpolates
    settings.set_main_option("path_separator", "os")
    return settings
