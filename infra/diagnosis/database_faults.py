"""Why the database cannot be used.

A connection that is refused has no SQLSTATE yet (libpq gives nothing but a sentence), so PostgreSQL's own words are read; where
they are in another language than English, they are told as they are.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from infra.database.migrations.newer_schema import NewerSchema
from infra.database.migrations.schema import knows
from infra.database.session import Database, shown_url
from infra.diagnosis.fault import Fault, unreachable
from pipeline.errors import DatabaseUnavailable, StenopoolError

VARIABLE = "STENOPOOL_DATABASE_URL"
PORT = 5432
NO_ROOM, NO_FILE, READ_ONLY, NO_DATABASE = "full", "unable to open", "readonly", "not a database"
_NO_RIGHT = "42501"  # insufficient_privilege

_REFUSALS: tuple[tuple[str, Fault], ...] = (
    (
        r"password authentication failed|no password supplied|[Pp]eer authentication failed|Ident authentication failed"
        r"|SASL authentication failed|auth failed|no such user"
        r"|role \".*\" does not exist",
        Fault("PostgreSQL refuses the user or the password", f"correct them in {VARIABLE}"),
    ),
    (
        r"database \".*\" does not exist|no such database",
        Fault("PostgreSQL has no database of that name", f"create it (createdb), or correct {VARIABLE}"),
    ),
    (
        r"no pg_hba\.conf entry",
        Fault("PostgreSQL lets nobody in from this machine", "add a line for it to the server's pg_hba.conf"),
    ),
    (
        r"too many clients|remaining connection slots|too many connections",
        Fault("PostgreSQL has no connection left", "raise its max_connections, or run fewer processes", heals=True),
    ),
    (
        r"is starting up|is shutting down|in recovery mode|not yet accepting connections",
        Fault("PostgreSQL is starting or stopping", "wait until it is ready", heals=True),
    ),
    (
        r"No space left on device|could not extend file|could not write init file",
        Fault("the disk of PostgreSQL is full", "make room on it", heals=True),
    ),
)


def database_fault(url: str, *, migrate: bool = False) -> Fault | None:
    """None where it can be used. `migrate` brings its schema up to date on the way. Raises InvalidRequest for what is no URL."""
    with contextlib.closing(Database(url)) as database:
        try:
            if migrate:
                database.migrate()
            step = database.check()["migration"]
        except NewerSchema as error:
            return _newer(error.message.rstrip("."))
        except DatabaseUnavailable as error:
            return _why(url, error)
        except DBAPIError as error:
            return _of_sqlite(url, str(error.orig)) if url.startswith("sqlite") else _refused(error)
    is_ours = step is None or knows(step)
    return None if is_ours else _newer(f"the database is at step {step}, which this version does not know")


def _newer(told: str) -> Fault:
    return Fault(told, "update Stenopool here, or start the version that has migrated it")


def _why(url: str, error: StenopoolError) -> Fault:
    words = str(error.__cause__ or error)
    if url.startswith("sqlite"):
        return _of_sqlite(url, words)
    known = next((fault for pattern, fault in _REFUSALS if re.search(pattern, words)), None)
    if known is not None:
        return known
    if isinstance(getattr(error.__cause__, "orig", None), Exception) and "FATAL" in words:
        told = words.partition("FATAL:")[2].splitlines()[0].strip()
        return Fault(f"PostgreSQL lets us not in: {told}", f"see the server's log, and {VARIABLE}", heals=True)
    return unreachable("PostgreSQL", VARIABLE, shown_url(url), PORT)  # a password may hold what ends a host elsewhere


def _of_sqlite(url: str, words: str) -> Fault:
    shown, folder = shown_url(url), Path(url.partition("///")[2]).parent
    if NO_ROOM in words:
        return Fault(f"the disk of {shown} is full", "make room on it", heals=True)
    if NO_FILE in words or READ_ONLY in words:
        return Fault(f"{shown} cannot be written", f"give {folder} to the user that runs Stenopool")
    if NO_DATABASE in words:
        return Fault(f"{shown} is no SQLite database", "put a backup in its place, or take it away")
    return Fault(f"{shown} does not answer ({words.splitlines()[0]})", "see who else has it open", heals=True)


def _refused(error: DBAPIError) -> Fault:
    if getattr(error.orig, "sqlstate", None) == _NO_RIGHT:
        return Fault(
            "the database's user may not make tables", "make it the owner of the database (ALTER DATABASE … OWNER TO …)"
        )
    told = str(error.orig).splitlines()[0]
    return Fault(f"the schema could not be brought up to date ({told})", "see the server's log, and report it")
