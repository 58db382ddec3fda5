"""Requests that may come twice."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import json_column


class IdempotencyKey(SQLModel, table=True):
    """The first answer to a creating request, kept for its repetitions."""

    __tablename__ = "idempotency_keys"
    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    parts: dict[str, str] | None = json_column()  # a digest of each field of the request, to name one that differs
    object_id: str
    response: dict[str, Any] = json_column(nullable=False)
    created_at: float = Field(sa_type=Double, index=True)
