"""The database's own clock: epoch seconds with a fraction, one clock for every process on every machine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from infra.database.session import Transaction, run_beside


class now(FunctionElement[float]):  # noqa: N801  written like the SQL function it stands for
    """The time at which the statement runs."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # unixepoch('subsec') needs SQLite 3.42. A Julian day as a double resolves 0.04 ms; 2440587.5 is 1970-01-01.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgresql(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # Not now(): that is when the transaction began, before it may have waited for a lock.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


_NOW = select(now())


def read_clock(session: Transaction) -> float:
    """The database's time, as a value."""
    return float(run_beside(session, _NOW, {}).scalar_one())
