"""Endpoints that take nothing: since when and why, told after three days, disabled after seven with their events kept."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.outbound.failures import failure_of, told_failure
from infra.outbound.url_policy import shown_url
from infra.webhooks.outbox import DISABLED_EVENT, FAILING, FAILING_EVENT, endpoint_message, subscribers
from infra.webhooks.retry_schedule import Verdict

log = logging.getLogger(__name__)

DAY = 24 * 3600.0
TOLD_AFTER, DISABLED_AFTER = 3 * DAY, 7 * DAY  # seconds from the first attempt that failed to one that still does
GONE = "gone"  # why an endpoint is disabled that has asked for it with a 410


def note_attempt(
    session: Session, endpoint: WebhookEndpoint, verdict: Verdict, *, code: str | None, status: int | None, time: float
) -> None:
    """What an attempt, of which `code` and `status` tell, says of the endpoint. Its row is locked."""
    endpoint.last_error, endpoint.last_status = code, status
    if verdict.delivered:
        endpoint.failing_since, endpoint.told_failing = None, False
        return
    endpoint.failing_since = time if endpoint.failing_since is None else endpoint.failing_since
    if verdict.gone:
        _disable(session, endpoint, GONE, time)
    elif endpoint.status == "active":
        _count_days(session, endpoint, time)


def forgive(endpoint: WebhookEndpoint) -> None:
    """It was revived or has moved: what was before says nothing of it."""
    endpoint.failing_since = endpoint.last_error = endpoint.last_status = endpoint.disabled_reason = None
    endpoint.told_failing = False


def drop_waiting(session: Session, endpoint_id: str, why: str) -> None:
    """Nobody is there any more to take what waits; `why` is a code of infra/outbound/failures.py."""
    waiting = (col(WebhookMessage.endpoint_id) == endpoint_id, col(WebhookMessage.status) == "pending")
    gone = {"next_attempt_at": None, "dispatched_at": None, "lease_token": None, "lease_until": None}
    session.execute(update(WebhookMessage).where(*waiting).values(status="dropped", last_error=why, **gone))


def _count_days(session: Session, endpoint: WebhookEndpoint, time: float) -> None:
    seconds = time - (endpoint.failing_since or time)
    if seconds >= DISABLED_AFTER:
        _disable(session, endpoint, FAILING, time)
    elif seconds >= TOLD_AFTER and not endpoint.told_failing:
        _tell(session, endpoint, FAILING_EVENT, time)
    else:
        return
    endpoint.told_failing = True


def _disable(session: Session, endpoint: WebhookEndpoint, reason: str, time: float) -> None:
    if endpoint.status == "disabled":
        return
    endpoint.status, endpoint.disabled_reason, endpoint.updated_at = "disabled", reason, time
    drop_waiting(session, endpoint.id, "endpoint_disabled")
    _tell(session, endpoint, DISABLED_EVENT, time)


def _tell(session: Session, endpoint: WebhookEndpoint, kind: str, time: float) -> None:
    """The account's other endpoints, and the log. `GET /v1/usage` shows the row itself."""
    why = failure_of(endpoint.last_error, endpoint.last_status)
    since = int(endpoint.failing_since or time)
    log.warning("%s %s: nothing was taken since %d. %s", kind, endpoint.id, since, why and why.message)
    others = [one for one in subscribers(session, endpoint.account_id, kind) if one.id != endpoint.id]
    session.add_all(endpoint_message(one, kind, time, _facts(endpoint)) for one in others)


def _facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": shown_url(endpoint.url),
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": int(endpoint.failing_since or 0) or None,
        "error": told_failure(endpoint.last_error, endpoint.last_status),
    }
