"""The events `batch.*` and `audio.bulk.*`: who wants to hear of it is told that a batch or a bulk run has ended, once, in the
transaction that ends it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from infra.batches.bulk_plan import BULK
from infra.database.tables.batches import Batch
from infra.webhooks.outbox import endpoint_message, own_message, subscribers, wants
from pipeline.money import usd


def announce(session: Session, batch: Batch, now: float) -> None:
    """Tell those who want to know that it has ended as its status says."""
    bulk = batch.kind == BULK
    kind, data = f"{'audio.bulk' if bulk else 'batch'}.{batch.status}", batch_facts(batch)
    wanting = subscribers(session, batch.account_id, kind)
    subject = None if bulk else batch.id  # a bulk run may end again, after a retry
    session.add_all(endpoint_message(endpoint, kind, now, data, subject=subject) for endpoint in wanting)
    if batch.webhook_url is not None and wants(batch.webhook_events, kind):
        session.add(own_message(batch, kind, now, data))


def batch_facts(batch: Batch) -> dict[str, Any]:
    """A thin payload: where it stands, and where its output is."""
    output = (
        {"output": (batch.plan or {}).get("output")}
        if batch.kind == BULK
        else {"output_file_id": batch.output_file_id, "error_file_id": batch.error_file_id}
    )
    return {
        "id": batch.id,
        "object": "audio.bulk" if batch.kind == BULK else "batch",
        "status": batch.status,
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        **output,
        "cost": {"currency": "usd", "captured": usd(batch.captured_micro)},
        "metadata": batch.meta or {},
    }
