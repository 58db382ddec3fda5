"""The ledger, what is held, receipts, and sums by day."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import COUNTER, SHORT_LIVED, json_column


class LedgerEntry(SQLModel, table=True):
    """One movement of money. Rows are only ever added, or summed up when they are old; amounts are micro-dollars."""

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("subject", "kind", "part", "account_id"),
        Index("ix_ledger_account_id_id", "account_id", "id"),
    )
    id: int | None = Field(default=None, sa_column=Column(COUNTER, primary_key=True))
    account_id: str = Field(foreign_key="accounts.id")
    subject: str  # a request's or a job's id; of a top-up whatever its maker calls it
    kind: str  # top_up, hold, capture, release, adjust, opening
    part: int = 0
    delta: int = Field(sa_type=BigInteger)  # what the balance changes by
    amount: int = Field(sa_type=BigInteger)
    at: float = Field(sa_type=Double)
    note: str | None = None


class OpenHold(SQLModel, table=True):
    """Money held for a request that is being answered; gone once it is settled. A job's hold is in its own row."""

    __tablename__ = "open_holds"
    __table_args__ = SHORT_LIVED
    subject: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="accounts.id")
    held: int = Field(sa_type=BigInteger)
    parts: int = 1
    opened_at: float = Field(sa_type=Double)


class Receipt(SQLModel, table=True):
    """What one request or job has cost, and why. It outlives its job."""

    __tablename__ = "receipts"
    __table_args__ = (
        Index("ix_receipts_account_id_created_at_id", "account_id", "created_at", "id"),
        Index("ix_receipts_created_at_id", "created_at", "id"),  # of all accounts together
    )
    id: str = Field(primary_key=True)  # rcpt_ + ULID
    account_id: str = Field(foreign_key="accounts.id")
    key_id: str | None = None
    subject: str = Field(sa_column=Column(String, nullable=False, unique=True))
    task: str
    model: str  # the one asked for, which sets the price
    model_used: str | None = None
    audio_ms: int = Field(default=0, sa_type=BigInteger)
    characters: int = Field(default=0, sa_type=BigInteger)
    tokens: dict[str, int] | None = json_column()
    counted: str = "measured"  # measured, provider or estimated
    prices: dict[str, str] | None = json_column()
    ratio: str = "1"
    cost: int = Field(default=0, sa_type=BigInteger)  # micro-dollars
    latency_ms: int | None = Field(default=None, sa_type=BigInteger)  # the whole work's; None: of before this was kept
    created_at: float = Field(sa_type=Double)
    updated_at: float = Field(sa_type=Double)  # later than that only for a job that was retried


class AudioRatio(SQLModel, table=True):
    """What an administrator multiplies the audio dimensions by, at run time."""

    __tablename__ = "audio_ratios"
    model: str = Field(primary_key=True)  # "*": of all models, on top of each one's own
    ratio: str
    changed_at: float = Field(sa_type=Double)


class DailyUsage(SQLModel, table=True):
    """What an account has used of a daily quota."""

    __tablename__ = "daily_usage"
    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    day: str = Field(primary_key=True)  # UTC, 2026-11-23
    kind: str = Field(primary_key=True)
    used: int = Field(default=0, sa_type=BigInteger)


class OpenMinutes(SQLModel, table=True):
    """Milliseconds of a daily quota that a request or a job under way has taken; gone once it has ended."""

    __tablename__ = "open_minutes"
    __table_args__ = SHORT_LIVED
    subject: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="accounts.id")
    day: str  # the one they count on, whenever the work ends
    taken: int = Field(sa_type=BigInteger)
    before: int = Field(default=0, sa_type=BigInteger)  # what earlier runs of a job have heard
    opened_at: float = Field(sa_type=Double)
