"""Who gets messages, whatever they are called: an endpoint, or the server that jobs of an account name as their webhook.

One that does not answer in time holds a sender for all of that time. After a few attempts in a row that nobody answered it is
left alone for a while, which grows; then one message at a time asks for all of them whether it is back.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from sqlalchemy import Update, delete, func, insert, literal, null, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now
from infra.database.tables.webhooks import WebhookAttempt, WebhookMessage, WebhookReceiver
from infra.outbound.failures import sentence
from infra.webhooks.retry_schedule import SPAN, quiet_for

log = logging.getLogger(__name__)

SILENT = "receiver_silent"  # what the log says of a message given up because its receiver answers none


def receiver_of(account_id: str, endpoint_id: str | None, url: str) -> str:
    """The name under which its attempts are counted. Servers that jobs name are told apart by account and origin."""
    if endpoint_id is not None:
        return endpoint_id
    return f"{account_id.lower()} {_origin(url)}"


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs are of one server, as far as their text tells."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def served(session: Session, message: WebhookMessage) -> None:
    """An attempt to reach it begins."""
    kind = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = {"id": message.receiver, "account_id": message.account_id, "silent": 0, "claimed_at": now()}
    session.execute(
        kind.insert(WebhookReceiver)
        .values(row)
        .on_conflict_do_update(index_elements=["id"], set_={"claimed_at": now()})
    )


def answered(session: Session, receiver: str) -> None:
    """It answers, or there is reason to believe that it will: nothing is held back."""
    session.execute(_of(receiver).where(col(WebhookReceiver.silent) > 0).values(silent=0, quiet_until=None))


def ask_again(session: Session, receiver: str) -> None:
    """Somebody wants to see an attempt: it is asked at once, still by one message at a time."""
    session.execute(_of(receiver).values(quiet_until=None))


def stayed_silent(session: Session, receiver: str, scale: float) -> None:
    """It let an attempt run out of time. The messages whose whole schedule has passed meanwhile are given up."""
    counted = _of(receiver).values(silent=col(WebhookReceiver.silent) + 1).returning(col(WebhookReceiver.silent))
    quiet = quiet_for(session.execute(counted).scalar_one_or_none() or 0, scale)
    if quiet is not None:
        session.execute(_of(receiver).values(quiet_until=now() + quiet))
        _give_up_old(session, receiver, SPAN * scale)


def forget_receivers(session: Session, older_than_seconds: float) -> None:
    """What is known of those whom nothing was sent to for so long."""
    session.execute(delete(WebhookReceiver).where(col(WebhookReceiver.claimed_at) < now() - older_than_seconds))


def _of(receiver: str) -> Update:
    return update(WebhookReceiver).where(col(WebhookReceiver.id) == receiver)


def _give_up_old(session: Session, receiver: str, span: float) -> None:
    began = func.coalesce(col(WebhookMessage.began_at), col(WebhookMessage.created_at))
    these = (
        col(WebhookMessage.receiver) == receiver,
        col(WebhookMessage.status) == "pending",
        col(WebhookMessage.lease_token).is_(None),
        began < now() - span,
    )
    n = col(WebhookMessage.attempts) + 1
    told = select(col(WebhookMessage.id), n, now(), literal(0), literal(SILENT)).where(*these)
    session.execute(insert(WebhookAttempt).from_select(["message_id", "n", "started_at", "duration_ms", "error"], told))
    given_up = session.execute(
        update(WebhookMessage)
        .where(*these)
        .values(
            status="exhausted",
            attempts=n,
            last_error=SILENT,
            last_status=null(),
            next_attempt_at=null(),
            dispatched_at=null(),
            lease_until=null(),
        )
        .returning(col(WebhookMessage.id))
    ).scalars()
    for message_id in given_up:
        log.warning("webhook %s given up. %s", message_id, sentence(SILENT))
