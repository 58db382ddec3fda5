"""Objects that are to be deleted, and how far the search for forgotten ones is."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import time_column


class Erasure(SQLModel, table=True):
    """Objects that nothing refers to any more; written with the change that orphaned them, kept until they are gone."""

    __tablename__ = "erasures"
    place: str = Field(primary_key=True)  # a storage key, or a folder of them, which ends in a slash
    due_at: float = Field(sa_type=Double, index=True)


class StorageSweep(SQLModel, table=True):
    """How far the sweep for orphans has come through the object store."""

    __tablename__ = "storage_sweeps"
    id: str = Field(primary_key=True)
    after_key: str = ""  # the last one that was looked at; empty: the next page is the first
    began_at: float = Field(sa_type=Double)
    next_at: float = Field(default=0.0, sa_type=Double)  # no page is looked at before
    finished_at: float | None = time_column()
    looked: int = Field(default=0, sa_type=BigInteger)
    orphans: int = Field(default=0, sa_type=BigInteger)
    orphan_bytes: int = Field(default=0, sa_type=BigInteger)
