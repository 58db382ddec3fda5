"""Endpoints, messages to them, who receives each, and every attempt."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, Index, LargeBinary, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import json_column, time_column

_UNDER_WAY = text("lease_token IS NOT NULL OR dispatched_at IS NOT NULL")


class WebhookEndpoint(SQLModel, table=True):
    """Where an account wants its events."""

    __tablename__ = "webhook_endpoints"
    id: str = Field(primary_key=True)  # whe_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    name: str = ""
    url: str
    event_types: list[str] = json_column(nullable=False)
    secret: str
    old_secret: str | None = None
    old_secret_until: float | None = time_column()
    headers: dict[str, Any] | None = json_column()  # the consumer's own, sealed
    status: str = "active"  # active, disabled; listening: `stenopool listen`, until `updated_at` is long past
    disabled_reason: str | None = None  # gone, failing; None: its owner
    failing_since: float | None = time_column()  # nothing was taken since then, and something was sent
    told_failing: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # the account, since then
    last_error: str | None = None  # of the last attempt: a code of infra/outbound/failures.py
    last_status: int | None = None
    created_at: float = Field(sa_type=Double)
    updated_at: float = Field(sa_type=Double)


class WebhookMessage(SQLModel, table=True):
    """The outbox: one event for one target, its bytes fixed for ever."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        UniqueConstraint("subject", "type", "target"),
        Index("ix_webhook_due", "status", "receiver", "next_attempt_at"),
        # Only the rows under way, which are few.
        Index("ix_webhook_busy", "receiver", sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY),
    )
    id: str = Field(primary_key=True)  # evt_ + ULID; the webhook-id header
    account_id: str = Field(foreign_key="accounts.id", index=True)
    job_id: str | None = Field(default=None, index=True)
    subject: str  # the job's id and the run it ended, or a test's own id: what makes the message unique
    target: str  # an endpoint's id, or "job" for the job's own webhook
    endpoint_id: str | None = Field(default=None, index=True)
    receiver: str = (
        ""  # whose attempts it is counted among (infra/webhooks/receivers.py); empty: the sweep will find out
    )
    type: str
    url: str
    body: bytes = Field(sa_type=LargeBinary)
    status: str = "pending"  # pending, delivered, exhausted, dropped; listening: until `stenopool listen` has it
    attempts: int = 0
    schedule_from: int = 0  # attempts made before the last replay, which starts the schedule anew
    began_at: float | None = time_column()  # when it did; None: `created_at`
    next_attempt_at: float | None = time_column()
    dispatched_at: float | None = time_column()  # when its wake-up was last sent, until an attempt is recorded
    lease_token: str | None = None
    lease_until: float | None = time_column()
    once: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # a test: it is not tried again
    last_status: int | None = None
    last_error: str | None = None  # of the last attempt: a code of infra/outbound/failures.py
    created_at: float = Field(sa_type=Double)
    delivered_at: float | None = time_column()


class WebhookReceiver(SQLModel, table=True):
    """Whom messages were sent to lately, and whether it answers."""

    __tablename__ = "webhook_receivers"
    id: str = Field(primary_key=True)  # a message's `receiver`
    account_id: str = Field(foreign_key="accounts.id", index=True)
    silent: int = 0  # attempts in a row that ran out of time
    quiet_until: float | None = time_column()  # nothing is sent before
    claimed_at: float = Field(sa_type=Double)


class WebhookAttempt(SQLModel, table=True):
    """One delivery: one attempt to send one message."""

    __tablename__ = "webhook_attempts"
    message_id: str = Field(foreign_key="webhook_messages.id", primary_key=True)
    n: int = Field(primary_key=True)
    started_at: float = Field(sa_type=Double)
    duration_ms: int = 0
    status_code: int | None = None
    error: str | None = None
    response_excerpt: str | None = None  # the first 4 kB
