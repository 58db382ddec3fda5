"""Fixtures: a test that asks for `database` or `database_url` runs on SQLite and on PostgreSQL, each time on a fresh one.

`empty_database_url` is the same before any migration; `postgres` is the server.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.database.postgres_engine import SESSION
from infra.database.session import Database
from tests.support.database_servers import PostgresServer, migrate, postgres_server

KINDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.processes))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server, pytest.MonkeyPatch.context() as patch:
        # Sessions of the tests' own process: on a machine that is busy elsewhere, a test may well do nothing for five seconds.
        patch.setitem(SESSION, "idle_in_transaction_session_timeout", "60s")
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> Iterator[str]:
    with postgres.template() as name:
        yield name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "stenopool.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "stenopool.db")
    return f"sqlite:///{tmp_path / 'stenopool.db'}"


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    with postgres.fresh(postgres_template) as url:
        yield url


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty' / 'stenopool.db'}"
    else:
        with request.getfixturevalue("postgres").fresh() as url:
            yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()
