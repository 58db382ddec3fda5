"""The events `batch.*`: an account's endpoints hear that a batch has ended, once, in the transaction that ends it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from infra.database.tables import Batch
from infra.webhooks.outbox import endpoint_message, subscribers
from pipeline.money import usd


def announce(session: Session, batch: Batch, now: float) -> None:
    """Tell those who want to know that it has ended as its status says."""
    kind, data = f"batch.{batch.status}", _facts(batch)
    wanting = subscribers(session, batch.account_id, kind)
    session.add_all(endpoint_message(endpoint, kind, now, data, subject=batch.id) for endpoint in wanting)


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
