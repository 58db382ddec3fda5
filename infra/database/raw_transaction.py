"""The short transactions of synchronous requests on SQLite: the same statements, with the driver alone.

A request's hold and its settlement are eight small statements, which take SQLite 0.09 ms of processor time together. Through a
session they take 1.1 ms, nearly a third of all that a request costs: building a connection, compiling, wrapping results. Here a
statement is compiled once, by SQLAlchemy, for ever; what comes back is as the driver gives it, so a column that Python has to
decode (JSON) may be written but not read.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, Engine, Executable
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from infra.database.busy_retry import retry_while_busy
from infra.database.wal_checkpointer import WalCheckpointer


class Rows(list[Any]):
    """All rows of a result; of SQLAlchemy's own ways to ask for one, those that our statements need.

    `rowcount` is how many a statement that returns none has changed.
    """

    rowcount = -1

    def first(self) -> Any:
        """None where there is none."""
        return self[0] if self else None

    one_or_none = first  # who asks so names a unique key

    def one(self) -> Any:
        """The same, where one is certainly there."""
        return self[0]

    def scalar_one_or_none(self) -> Any:
        """The first column of the first row."""
        return self[0][0] if self else None

    def scalar_one(self) -> Any:
        """The same, of a row that is certainly there."""
        return self[0][0]


class _Prepared:
    """A statement as text, and how values become its parameters."""

    def __init__(self, statement: ClauseElement, names: list[str], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=names)
        assert isinstance(compiled, SQLCompiler)
        self.text = str(compiled)
        self._ordered = _ordered(compiled.positiontup or ())
        self._fixed = {name: value for name, value in compiled.params.items() if name not in names}
        self._encoders = tuple(_encoders(compiled, dialect).items())
        self.row: Any = None  # a namedtuple's class, known once there is a result

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        given = {**self._fixed, **values}
        for name, encode in self._encoders:
            given[name] = encode(given[name])
        return self._ordered(given)


def _ordered(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """The values of these names; `itemgetter` alone makes no tuple of less than two."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda given: tuple(given[name] for name in names)


def _encoders(compiled: SQLCompiler, dialect: Dialect) -> dict[str, Callable[[Any], Any]]:
    found = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
    return {name: encode for name, encode in found.items() if encode and name in (compiled.positiontup or ())}


class RawTransaction:
    """One connection for all of a process' short transactions; whoever uses it holds the database's turn.

    It does not wait for the disk: see `Database.brief`.
    """

    def __init__(self, engine: Engine, turn: AbstractContextManager[Any]) -> None:
        """`turn` is what this process' writers take."""
        assert engine.url.database
        self._dialect = engine.dialect
        self._prepared: dict[Executable, _Prepared] = {}  # a dozen, all of them kept by their modules
        self._pooled = engine.raw_connection()
        driver = self._pooled.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self._connection = driver
        driver.execute("PRAGMA synchronous=NORMAL")
        driver.execute("PRAGMA busy_timeout=0")  # who begins waits by himself; after that there is nothing to wait for
        driver.execute("PRAGMA wal_autocheckpoint=0")  # that is the log keeper's
        self._keeper = WalCheckpointer(engine.url.database, turn)

    def run(self, statement: Executable, values: Mapping[str, Any]) -> Rows:
        """A statement that is built once and kept, always with values of the same names."""
        prepared = self._prepared.get(statement)
        if prepared is None:
            assert isinstance(statement, ClauseElement)
            prepared = self._prepared[statement] = _Prepared(statement, list(values), self._dialect)
        cursor = self._connection.execute(prepared.text, prepared.parameters(values))
        if cursor.description is None:
            rows = Rows()
            rows.rowcount = cursor.rowcount
            return rows
        if prepared.row is None:
            prepared.row = namedtuple("Row", [column[0] for column in cursor.description])  # type: ignore[misc]
        return Rows(map(prepared.row._make, cursor))

    def begin(self) -> None:
        """At once as a writer, as all of our transactions that may write."""
        retry_while_busy(self._connection, "BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Other processes see it from here on."""
        self._connection.execute("COMMIT")
        self._keeper.committed()

    def roll_back(self) -> None:
        """As if nothing had been."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """For ever. Without the turn, which the log keeper may be waiting for."""
        self._keeper.close()
        self._pooled.invalidate()  # it has another durability than the pool's connections
