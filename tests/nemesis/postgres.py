"""A PostgreSQL of our own that can be stopped as a crash would, and started again over the same data."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
from sqlalchemy import make_url

from tests.support.database_servers import private_server

DATABASE = "stenopool"
BY_TCP = "sslmode=disable&gssencmode=disable"


class Postgres:
    """`url` leads to it directly; `socket` is where proxies find it."""

    def __init__(self, server: Any) -> None:
        self._server = server
        admin = make_url(server.get_uri())
        with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute(f"CREATE DATABASE {DATABASE}")
            connection.execute("SELECT pg_reload_conf()")
        self.url = admin.set(database=DATABASE).render_as_string(hide_password=False)
        self.socket = f"{admin.query['host']}/.s.PGSQL.{admin.port or 5432}"

    @staticmethod
    def url_by(port: int) -> str:
        """The URL of a proxy's clients."""
        return f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}?{BY_TCP}"

    def stop(self) -> None:
        """SIGQUIT: it leaves its data as a crash would, and everybody's connection is gone."""
        pid = self._server.get_pid()
        if pid and psutil.pid_exists(pid):
            psutil.Process(pid).send_signal(signal.SIGQUIT)
            psutil.Process(pid).wait(60)

    def start(self) -> None:
        self._server.ensure_postgres_running()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """One until the block ends."""
    with private_server() as server:
        made = Postgres(server)
        yield made
        made.start()
