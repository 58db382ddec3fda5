"""PostgreSQL itself, or a pooler in front of it that gives a client another connection in every transaction (PgBouncer).

Behind such a pooler nothing may be a property of a session. What a session has of its own is then brought by each transaction, in
the one message that begins it, and no statement is prepared: the next connection would not know it. Which of the two it is, each
new connection sees for itself, as whoever answers is not the process that it was told it talks to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext

if TYPE_CHECKING:  # the driver is 9 MB, which a process at SQLite need not hold
    from psycopg import Connection as PostgresConnection

CONNECTIONS = 32  # of a process, at most, unless it is told otherwise
SESSION = {
    "statement_timeout": "20s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
}
_IDLE = 5  # connections that are kept open
_NOT_SUPPORTED = "0A000"
_NETWORK = {
    "connect_timeout": 3,
    # A server that is stopped or unplugged must become an error, not a hang.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    "autocommit": True,  # until it is known what is behind it: see `_prepare`
}
_SET_AT = """
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value) WHERE pg_backend_pid() = %s
"""


def postgres_engine(url: URL, connections: int) -> Engine:
    """Of at most so many connections."""
    kept = min(_IDLE, connections)
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=kept,
        max_overflow=connections - kept,
        pool_timeout=10,
        connect_args=_NETWORK,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _outdated)
    return engine


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler stands between this connection and the server."""
    driver: Any = connection.connection.driver_connection
    return bool(driver.autocommit)


def _prepare(connection: PostgresConnection[Any], _record: object) -> None:
    wanted = [list(SESSION), list(SESSION.values()), connection.info.backend_pid]
    if connection.execute(_SET_AT, wanted, prepare=False).fetchall():  # it is the server that we think we talk to
        connection.autocommit = False
    else:
        connection.prepare_threshold = None


def _begin(connection: Connection) -> None:
    if is_pooled(connection):
        settings = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in SESSION.items())
        connection.exec_driver_sql(f"BEGIN; {settings}")


def _outdated(context: ExceptionContext) -> None:
    """A migration has changed a column's type: statements that connections of before have prepared never work again."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) == _NOT_SUPPORTED and "cached plan" in str(error):
        context.is_disconnect = True
