"""Messages in the outbox, without whatever they would be about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.webhooks.outbox import endpoint_message
from infra.webhooks.store import Delivery, WebhookStore


def event_for(hooks: WebhookStore, endpoint_id: str, kind: str = "webhook.test") -> WebhookMessage:
    """An event of the endpoint, sent by the whole schedule."""
    with hooks._database.write() as session:
        endpoint = session.get_one(WebhookEndpoint, endpoint_id)
        message = endpoint_message(endpoint, kind, read_clock(session), {"object": "any"})
        session.add(message)
    return message


def listeners(hooks: WebhookStore) -> list[str]:
    """Who follows the event stream."""
    with hooks._database.read() as session:
        return list(session.scalars(select(col(WebhookEndpoint.id)).where(col(WebhookEndpoint.status) == "listening")))


def claimed(hooks: WebhookStore, message_id: str) -> Delivery:
    """The right to send it."""
    delivery = hooks.claim(message_id)
    assert delivery is not None
    return delivery


def shift(
    hooks: WebhookStore, table: type[WebhookMessage] | type[WebhookEndpoint], row_id: str, **columns: Any
) -> None:
    """Change a row as time, or somebody else, would."""
    with hooks._database.write() as session:
        session.execute(update(table).where(col(table.id) == row_id).values(**columns))
