"""The webhook endpoints of all accounts, as their operator sees them: which of them fail, since when, and what waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.outbound.failures import told_failure
from infra.webhooks.outbox import LISTENING
from pipeline.errors import InvalidRequest


@dataclass(frozen=True)
class EndpointHealth:
    """An endpoint, whose it is, and how many messages wait for it."""

    endpoint: WebhookEndpoint
    account_name: str
    waiting: int

    @property
    def failing_since(self) -> float | None:
        """In epoch seconds; None where the last that was sent was taken."""
        return self.endpoint.failing_since

    @property
    def error(self) -> dict[str, str] | None:
        """Why the last was not taken, in the words that the endpoint's owner reads."""
        return told_failure(self.endpoint.last_error, self.endpoint.last_status)

    def as_dict(self) -> dict[str, Any]:
        """All keys, always, and never the secret; times in epoch seconds. `last_error`: the error's code where no answer came."""
        return {
            "id": self.endpoint.id,
            "object": "webhook_endpoint",
            "account_id": self.endpoint.account_id,
            "account_name": self.account_name,
            "name": self.endpoint.name,
            "url": self.endpoint.url,
            "status": self.endpoint.status,
            "created_at": int(self.endpoint.created_at),
            "failing_since": None if self.failing_since is None else round(self.failing_since, 3),
            "error": self.error,
            "last_error": self.endpoint.last_error,
            "waiting": self.waiting,
        }


class AllEndpoints:
    """Read-only, one transaction per question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def health(
        self, *, limit: int, after: str | None = None, account_id: str | None = None, failing: bool = False
    ) -> tuple[list[EndpointHealth], bool]:
        """A page, the newest first, and whether there is more; with `failing` of those alone that have taken nothing lately, and of
        those to which nothing is sent any more. Raises InvalidRequest for a wrong cursor."""
        owner = col(Account.id) == col(WebhookEndpoint.account_id)
        query = select(WebhookEndpoint, col(Account.name)).join(Account, owner)
        query = query.where(col(WebhookEndpoint.status) != LISTENING)
        if account_id is not None:
            query = query.where(col(WebhookEndpoint.account_id) == account_id)
        if failing:
            disabled = col(WebhookEndpoint.status) == "disabled"
            query = query.where(col(WebhookEndpoint.failing_since).is_not(None) | disabled)
        with self._database.read() as session:
            rows = session.execute(_paged(session, query, after).limit(limit + 1)).all()
            found = [EndpointHealth(endpoint, name, _waiting(session, endpoint)) for endpoint, name in rows[:limit]]
        return found, len(rows) > limit


_ORDER = (col(WebhookEndpoint.created_at), col(WebhookEndpoint.id))


def _paged(session: Session, query: Select[WebhookEndpoint, str], after: str | None) -> Select[WebhookEndpoint, str]:
    if after is not None:
        last = session.get(WebhookEndpoint, after)
        if last is None:
            raise InvalidRequest(f"No such cursor: after={after[:60]}", param="after")
        query = query.where(tuple_(*_ORDER) < (last.created_at, last.id))
    return query.order_by(*(column.desc() for column in _ORDER))


def _waiting(session: Session, endpoint: WebhookEndpoint) -> int:
    pending = (col(WebhookMessage.endpoint_id) == endpoint.id, col(WebhookMessage.status) == "pending")
    return int(session.execute(select(func.count()).where(*pending)).scalar_one())
