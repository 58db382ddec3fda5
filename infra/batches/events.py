"""The events `batch.*`: an account's endpoints hear that a batch has ended, once, in the transaction that ends it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.ids import new_id
from infra.database.tables import Batch, WebhookEndpoint, WebhookMessage
from infra.webhooks.outbox import event_body, wants
from pipeline.money import usd


def announce(session: Session, batch: Batch, now: float) -> None:
    """Tell those who want to know that it has ended as its status says."""
    kind = f"batch.{batch.status}"
    active = select(WebhookEndpoint).where(
        col(WebhookEndpoint.account_id) == batch.account_id, col(WebhookEndpoint.status) == "active"
    )
    for endpoint in session.scalars(active):
        if wants(endpoint.event_types, kind):
            session.add(_message(batch, endpoint, kind, now))


def _message(batch: Batch, endpoint: WebhookEndpoint, kind: str, now: float) -> WebhookMessage:
    message_id = new_id("evt")
    return WebhookMessage(
        id=message_id,
        account_id=batch.account_id,
        subject=batch.id,
        target=endpoint.id,
        endpoint_id=endpoint.id,
        receiver=endpoint.id,
        type=kind,
        url=endpoint.url,
        body=event_body(message_id, kind, now, _facts(batch)),
        next_attempt_at=now,
        created_at=now,
    )


def _facts(batch: Batch) -> dict[str, Any]:
    """A thin payload: where it stands, and where its output is."""
    return {
        "id": batch.id,
        "object": "batch",
        "status": batch.status,
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "cost": {"currency": "usd", "captured": usd(batch.captured_micro)},
        "metadata": batch.meta or {},
    }
