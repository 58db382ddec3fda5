"""One database per process: sessions, transactions, migrations."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Executable, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import Session

from infra.database.busy_retry import BUSY_SECONDS, retry_while_busy
from infra.database.file_mode import is_exposed, keep_private
from infra.database.migrations import schema
from infra.database.postgres_engine import CONNECTIONS, postgres_engine
from infra.database.raw_transaction import RawTransaction, Rows
from infra.database.wal_checkpointer import PAGE
from pipeline.concurrency.fair_semaphore import FairSemaphore
from pipeline.errors import DatabaseUnavailable, InvalidRequest, WrongState

_LAST_PORT = 65535
_WANTED = (
    "The database URL must be sqlite:///file or postgresql://user:password@host:port/name; in a password write @ as %40 "
    "and % as %25"
)
PUBLIC_URL = "public_url"  # in a session's info


class Database:
    """SQLite or PostgreSQL behind one door. Raises DatabaseUnavailable when it does not answer.

    On SQLite a writing transaction is BEGIN IMMEDIATE: a deferred one that turns to writing fails at once when another
    has written since, whatever the busy timeout. The rows it hands out stay readable after their session. `public_url`, where
    clients reach this server, is known to every session: the news that a transaction writes names URLs.
    """

    def __init__(self, url: str, *, connections: int = CONNECTIONS, public_url: str = "") -> None:
        """`connections` to PostgreSQL at most; a file knows no such bound."""
        self._url = _with_driver(url)
        self._info = {PUBLIC_URL: public_url}
        self.kind = self._url.get_backend_name()
        self._engine = _sqlite(self._url) if self.kind == "sqlite" else postgres_engine(self._url, connections)
        self._writer = self._engine.execution_options(writes=True)
        # SQLite's busy handler polls, and starves somebody: threads of one process queue up here instead.
        self._turn: contextlib.AbstractContextManager[Any] = (
            FairSemaphore(1) if self.kind == "sqlite" else contextlib.nullcontext()
        )
        self._raw_transaction: RawTransaction | None = None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One short transaction that may write; committed at the end of the block, rolled back by an exception."""
        with _TRANSLATED, self._turn, Session(self._writer, expire_on_commit=False, info=self._info) as session:
            yield session
            session.commit()

    @property
    def is_prompt(self) -> bool:
        """Whether `raw_transaction` may be used in a greenlet: it waits for nothing but its turn."""
        return self.kind == "sqlite"

    @contextmanager
    def raw_transaction(self) -> Iterator[Transaction]:
        """As `write`, for statements that are all given to `run`: five times as fast on SQLite.

        There it does not wait for the disk: other processes see it at once, and it survives their death and ours, but a power
        cut may undo it, and the brief ones after it, until the next `write` has been committed.
        """
        if self.kind != "sqlite":
            with self.write() as session:
                yield session
            return
        with _TRANSLATED, self._turn:
            if self._raw_transaction is None:
                self._raw_transaction = RawTransaction(self._engine, self._turn)
            self._raw_transaction.begin()
            try:
                yield self._raw_transaction
                self._raw_transaction.commit()
            except BaseException:
                self._raw_transaction.roll_back()
                raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent look."""
        with _TRANSLATED, Session(self._engine, expire_on_commit=False) as session:
            yield session

    def migrate(self) -> None:
        """Bring the schema up to date; safe when several processes start at once.

        Raises NewerSchema for a database that a newer version of this code has migrated.
        """
        with _TRANSLATED, self._engine.connect() as connection:
            if schema.current(connection) == schema.head():
                return
        with _TRANSLATED, self._turn, self._writer.begin() as connection:
            schema.upgrade(connection)

    def go_back(self, step: str) -> None:
        """To the schema of an older step, in one transaction, with nobody else at work. Raises InvalidRequest."""
        with _TRANSLATED, self._turn, self._writer.begin() as connection:
            schema.downgrade(connection, step)

    def check(self) -> dict[str, Any]:
        """{"kind", "ms", "migration", "expected"}: for /readyz. Raises DatabaseUnavailable."""
        began = time.perf_counter()
        with _TRANSLATED, self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            milliseconds = (time.perf_counter() - began) * 1000
            found = schema.current(connection)
        return {"kind": self.kind, "ms": round(milliseconds, 2), "migration": found, "expected": schema.head()}

    def exposed_file(self) -> Path | None:
        """SQLite's file where others than its owner may read it, which is not ours to change; else None."""
        path = Path(self._url.database or "")
        return path if self.kind == "sqlite" and is_exposed(path) else None

    def copy_to(self, path: Path) -> None:
        """All of SQLite's file as it is at one moment, while others write to it; its owner's alone. Raises WrongState for
        PostgreSQL, and where something is there already."""
        if self.kind != "sqlite":
            raise WrongState(
                "The database is PostgreSQL, which brings its own: pg_dump --format=custom --file=FILE URL"
            )
        if path.exists():
            raise WrongState(f"{path} is there already: name a new file.")
        with _TRANSLATED, self._engine.connect() as connection:
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)
            keep_private(path)
            with contextlib.closing(sqlite3.connect(path)) as target:
                source.backup(target)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A bare connection, for tools that compare or inspect the schema."""
        with _TRANSLATED, self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        with self._turn:
            raw_transaction, self._raw_transaction = self._raw_transaction, None
        if raw_transaction is not None:
            raw_transaction.close()
        self._engine.dispose()


def has_file(url: str) -> bool:
    """False for SQLite's file where there is none, which whoever opens it makes. Raises InvalidRequest."""
    parsed = _with_driver(url)
    return parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").exists()


def is_there(url: str) -> bool:
    """Whether somebody has ever worked in this database; asking makes none. Raises DatabaseUnavailable, InvalidRequest."""
    if not has_file(url):
        return False
    with contextlib.closing(Database(url)) as database:
        try:
            return database.check()["migration"] is not None
        except DBAPIError as error:  # a file that is no database
            raise DatabaseUnavailable from error


def shown_url(url: str) -> str:
    """Where it is, for people: never its password."""
    parsed = _with_driver(url)
    return parsed.set(drivername=parsed.get_backend_name()).render_as_string(hide_password=True)


Transaction = Session | RawTransaction


def run(session: Transaction, statement: Executable, values: Mapping[str, Any]) -> CursorResult[Any] | Rows:
    """A statement over bare tables in the session's transaction, after what the session has still to write.

    It goes past the session's own machinery, which would cost as much again: for statements that every request runs, each built
    once and always given values of the same names.
    """
    if not isinstance(session, RawTransaction):
        session.flush()
    return run_beside(session, statement, values)


def run_beside(session: Transaction, statement: Executable, values: Mapping[str, Any]) -> CursorResult[Any] | Rows:
    """As `run`, over rows with which nothing that the session has still to write has to do: that is written once, at the end, and
    not again and again."""
    if isinstance(session, RawTransaction):
        return session.run(statement, values)
    return session.connection().execute(statement, values)


def dialect_of(session: Transaction) -> str:
    """sqlite or postgresql."""
    return "sqlite" if isinstance(session, RawTransaction) else session.get_bind().dialect.name


class _Translated:
    """Around whatever asks the driver: its ways of not answering, as ours."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, _UNANSWERED) or (isinstance(error, DBAPIError) and error.connection_invalidated):
            raise DatabaseUnavailable from error
        # No field's check foresaw it; SQLite stores nearly everything, PostgreSQL does not.
        if isinstance(error, DataError):
            raise InvalidRequest(
                "A value cannot be used: a NUL character in a text, or a number beyond all bounds."
            ) from error


_UNANSWERED = (OperationalError, InterfaceError, TimeoutError, sqlite3.OperationalError, sqlite3.InterfaceError)
_TRANSLATED = _Translated()


def _with_driver(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = make_url("none://")  # the message below says it better, and shows no password
    backend, name = parsed.get_backend_name(), parsed.database or ""
    is_address = "@" not in f"{parsed.host}{name}" and (parsed.port or 0) <= _LAST_PORT
    if backend in ("postgres", "postgresql") and is_address:
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and name:
        return parsed
    raise InvalidRequest(_WANTED, param="STENOPOOL_DATABASE_URL")


def _sqlite(url: URL) -> Engine:
    assert url.database
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    keep_private(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_size=5, max_overflow=59)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own: see _begin
        connection.execute(f"PRAGMA page_size={PAGE}")  # of a new file; an old one keeps its own
        # A file keeps it; while several switch a new one, SQLite waits for nobody.
        retry_while_busy(connection, "PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # what was acknowledged survives a power cut as well
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(
            "PRAGMA secure_delete=ON"
        )  # what is deleted is written over; not every SQLite does by itself

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("writes", False):
            connection.exec_driver_sql("BEGIN")
            return
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("PRAGMA busy_timeout=0")  # we wait better: see there
        try:
            retry_while_busy(driver, "BEGIN IMMEDIATE")
        finally:
            driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")

    return engine
