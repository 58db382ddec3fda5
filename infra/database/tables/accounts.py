"""Whose everything is: accounts, their keys, their erasure, and what operators did."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import COUNTER, json_column, time_column


class Account(SQLModel, table=True):
    """Who owns everything else."""

    __tablename__ = "accounts"
    id: str = Field(primary_key=True)  # acct_ + ULID
    name: str = ""
    tier: str = "free"
    status: str = "active"
    plan: str = ""  # what the account subscribes to elsewhere; it never covers audio
    limits: dict[str, Any] | None = json_column()  # an enterprise account's own numbers
    balance_micro: int = Field(default=0, sa_type=BigInteger)  # always the sum of its ledger's deltas
    balance_low_micro: int | None = Field(default=None, sa_type=BigInteger)  # below it the account is told, once
    balance_low_told: bool = False  # since it was above that
    audio_ratio: str | None = None  # its own, on top of the models'; None: 1
    stored_bytes: int = Field(default=0, sa_type=BigInteger)  # always what its media and its jobs count together
    stored_results: int = 0  # always how many of its jobs are `kept`
    created_at: float = Field(sa_type=Double)


class ApiKey(SQLModel, table=True):
    """A key; its secret is only here as a hash."""

    __tablename__ = "api_keys"
    id: str = Field(primary_key=True)  # the key's own public part
    account_id: str = Field(foreign_key="accounts.id", index=True)
    secret_hash: str
    name: str = ""
    created_at: float = Field(sa_type=Double)
    expires_at: float | None = time_column()
    revoked_at: float | None = time_column()
    last_used_at: float | None = time_column()
    scopes: list[str] | None = json_column()  # None: everything
    replaced_by: str | None = None  # the key that a rotation put in its place
    rotated_until: float | None = time_column()  # until when it works beside that one


class AccountErasure(SQLModel, table=True):
    """An account was erased, or is being: what was removed, counted."""

    __tablename__ = "account_erasures"
    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    asked_at: float = Field(sa_type=Double, index=True)
    done_at: float | None = time_column()
    removed: dict[str, int] = json_column(nullable=False)


class AuditEntry(SQLModel, table=True):
    """One act of an administrator. Rows are only ever added: triggers of migration 0012 refuse anything else."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_account_id_id", "account_id", "id"),)
    id: int | None = Field(default=None, sa_column=Column(COUNTER, primary_key=True))
    at: float = Field(sa_type=Double)
    who: str
    source: str  # an address or a machine
    act: str
    subject: str  # what it was done to
    account_id: str | None = None  # no foreign key: it outlives everything
    request_id: str | None = None
    details: dict[str, Any] = json_column(nullable=False)
