"""Workers that live."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import json_column


class Worker(SQLModel, table=True):
    """A living process of the scheduler or of a worker role."""

    __tablename__ = "workers"
    id: str = Field(primary_key=True)
    role: str
    host: str
    pid: int
    started_at: float = Field(sa_type=Double)
    seen_at: float = Field(sa_type=Double)
    facts: dict[str, Any] | None = json_column()  # the sandbox level in force, versions
