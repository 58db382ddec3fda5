"""What columns of several tables have in common, and the names of constraints.

Tables are columns, nothing else: SQLModel classes with table=True do not validate; what enters was validated at the door. Times
are epoch seconds by the database's own clock.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Double, Integer
from sqlmodel import Field, SQLModel

# Constraints need names, or SQLite's later migrations cannot find them.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows only in a column that it calls INTEGER.
COUNTER = BigInteger().with_variant(Integer, "sqlite")
# There are never more of them than work under way: no index by time, and on SQLite one tree for the key and the rest.
SHORT_LIVED = {"sqlite_with_rowid": False}
ZERO = {"server_default": "0"}


def json_column(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=nullable))


def time_column(*, index: bool = False) -> Any:
    return Field(default=None, sa_type=Double, index=index)
