"""The webhook endpoints of all accounts, as their operator sees them: which of them fail, since when, and what waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables import Account, WebhookAttempt, WebhookEndpoint, WebhookMessage
from pipeline.errors import InvalidRequest


@dataclass(frozen=True)
class EndpointHealth:
    """An endpoint, whose it is, and how many messages wait for it. It fails where one of them was tried in vain: since its first
    try, lastly by `last_error`."""

    endpoint: WebhookEndpoint
    account_name: str
    waiting: int = 0
    failing_since: float | None = None
    last_error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """All keys, always, and never the secret; times in epoch seconds."""
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
            "last_error": self.last_error,
            "waiting": self.waiting,
        }


class AllEndpoints:
    """Read-only, one transaction per question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def health(
        self, *, limit: int, after: str | None = None, account_id: str | None = None, failing: bool = False
    ) -> tuple[list[EndpointHealth], bool]:
        """A page, the newest first, and whether there is more; with `failing` of those alone to which something was sent in vain,
        and of those to which for that reason nothing is sent any more. Raises InvalidRequest for a wrong cursor."""
        query = select(WebhookEndpoint, col(Account.name)).join(
            Account, col(Account.id) == col(WebhookEndpoint.account_id)
        )
        if account_id is not None:
            query = query.where(col(WebhookEndpoint.account_id) == account_id)
        if failing:
            in_vain = select(col(WebhookMessage.endpoint_id)).where(*_IN_VAIN)
            disabled = col(WebhookEndpoint.status) == "disabled"
            query = query.where(col(WebhookEndpoint.id).in_(in_vain) | disabled)
        with self._database.read() as session:
            rows = session.execute(_paged(session, query, after).limit(limit + 1)).all()
            found = [_health(session, endpoint, name) for endpoint, name in rows[:limit]]
        return found, len(rows) > limit


_PENDING = col(WebhookMessage.status) == "pending"
_IN_VAIN = (_PENDING, col(WebhookMessage.attempts) > 0, col(WebhookMessage.endpoint_id).is_not(None))
_ORDER = (col(WebhookEndpoint.created_at), col(WebhookEndpoint.id))


def _paged(session: Session, query: Select[WebhookEndpoint, str], after: str | None) -> Select[WebhookEndpoint, str]:
    if after is not None:
        last = session.get(WebhookEndpoint, after)
        if last is None:
            raise InvalidRequest(f"No such cursor: after={after[:60]}", param="after")
        query = query.where(tuple_(*_ORDER) < (last.created_at, last.id))
    return query.order_by(*(column.desc() for column in _ORDER))


def _health(session: Session, endpoint: WebhookEndpoint, account_name: str) -> EndpointHealth:
    mine = (col(WebhookMessage.endpoint_id) == endpoint.id, _PENDING)
    waiting = session.execute(select(func.count()).where(*mine)).scalar_one()
    tries = (
        select(WebhookAttempt)
        .join(WebhookMessage, col(WebhookMessage.id) == col(WebhookAttempt.message_id))
        .where(*mine)
        .order_by(col(WebhookAttempt.started_at))
    )
    first = session.scalars(tries.limit(1)).first()
    last = session.scalars(tries.order_by(None).order_by(col(WebhookAttempt.started_at).desc()).limit(1)).first()
    since = None if first is None else first.started_at
    return EndpointHealth(endpoint, account_name, waiting, since, None if last is None else _told(last))


def _told(attempt: WebhookAttempt) -> str:
    return attempt.error or f"answered {attempt.status_code}"
