"""The operator's settings, read once per command, and the database that they name."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.output import remark
from infra.database.session import Database, is_there, shown_url
from infra.diagnosis.database_faults import database_fault
from infra.diagnosis.fault import Misconfigured
from infra.settings import OF_CLIENTS, Settings, default_home
from pipeline.errors import DatabaseUnavailable, NotFound


def settings() -> Settings:
    """From STENOPOOL_* in the environment. Raises InvalidRequest naming the variable that is wrong."""
    return Settings.from_env(os.environ)


def as_typed(words: str, chosen: Settings) -> str:
    """A command exactly as it must be typed in another shell to work in this installation; a password is never in it."""
    beside = Path(sys.executable).parent / "stenopool"
    on_path = shutil.which("stenopool")
    program = "stenopool" if on_path and Path(on_path).resolve() == beside.resolve() else shlex.quote(str(beside))
    home = "" if chosen.home == default_home() else f"STENOPOOL_HOME={shlex.quote(str(chosen.home.absolute()))} "
    shared = "   with the same STENOPOOL_DATABASE_URL" if chosen.database_url else ""
    return f"{home}{program} {words}{shared}"


@contextlib.contextmanager
def named_database(chosen: Settings, *, make: bool = False, migrate: bool = True) -> Iterator[Database]:
    """The configured database, its schema up to date unless it is to be seen as it is; which one it is, is said on stderr.

    Only those who `make` something that may be the first thing in it make one where there is none: whoever reads would otherwise
    find nothing in a database that nobody else knows. Raises NotFound, DatabaseUnavailable, Misconfigured, NewerSchema.
    """
    place = shown_url(chosen.database)
    if os.environ.get(OF_CLIENTS[0]):
        remark(f"{OF_CLIENTS[0]} is set and not asked: this command works in the database itself")
    variable = "STENOPOOL_DATABASE_URL" if chosen.database_url else "STENOPOOL_HOME"
    is_new = not _answers(chosen.database)
    if is_new and not make:
        raise NotFound(f"There is no database of Stenopool at {place}: set {variable} to that of the installation.")
    chosen.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    remark(f"database: {place}" + (f", made just now; {variable} names another" if is_new else ""))
    with contextlib.closing(Database(chosen.database, public_url=chosen.public_url)) as database:
        if migrate:
            database.migrate()
        yield database


def _answers(url: str) -> bool:
    """Whether there is a database of ours. Raises DatabaseUnavailable and Misconfigured in the words that `doctor` has."""
    try:
        return is_there(url)
    except DatabaseUnavailable as error:
        fault = database_fault(url)
        if fault is None:
            raise
        raise (DatabaseUnavailable if fault.heals else Misconfigured)(fault.sentence) from error
