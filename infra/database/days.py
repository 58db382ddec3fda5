"""Days in UTC, as whole numbers since 1970-01-01: what epoch seconds are grouped by."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

DAY_SECONDS = 86_400
EPOCH = datetime.date(1970, 1, 1)


class day_number(FunctionElement[int]):  # noqa: N801  written like the SQL function it stands for
    """Of a column of epoch seconds. In whole seconds first: dividing a float could round up to the next day."""

    type = BigInteger()
    inherit_cache = True


@compiles(day_number, "sqlite")
def _sqlite(element: day_number, compiler: SQLCompiler, **how: Any) -> str:
    return f"(CAST({compiler.process(element.clauses, **how)} AS INTEGER) / {DAY_SECONDS})"  # truncates: no time is negative


@compiles(day_number, "postgresql")
def _postgresql(element: day_number, compiler: SQLCompiler, **how: Any) -> str:
    return f"(CAST(FLOOR({compiler.process(element.clauses, **how)}) AS BIGINT) / {DAY_SECONDS})"


def date_of(number: int) -> datetime.date:
    """The day of that number."""
    return EPOCH + datetime.timedelta(days=number)


def day_begins(date: datetime.date) -> int:
    """Epoch seconds of its first moment in UTC."""
    return (date - EPOCH).days * DAY_SECONDS
