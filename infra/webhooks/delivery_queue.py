"""The outbox's other end: which message may be sent now, and what became of each attempt.

A message is claimed for one attempt at a time. Whoever dies between sending and recording leaves a lease that runs out:
the message goes out again with the same id, and the receiver knows it by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.ids import new_token
from infra.database.session import Database
from infra.database.tables import Job, WebhookAttempt, WebhookEndpoint, WebhookMessage
from infra.webhooks.endpoints import drop_waiting
from pipeline.errors import InvalidRequest, NotFound

LEASE_SECONDS = 60.0  # an attempt has a deadline of 15 s
NAMED_AGAIN = 10.0  # seconds until a message that `due` has named, and nobody claimed, is named again
MOST_CLAIMS = 30  # per schedule of 10: only senders that die before they record get there

Logged = tuple[WebhookMessage, list[WebhookAttempt]]


@dataclass(frozen=True)
class Delivery:
    """One attempt that this process may make now. `secrets` sign it: two while a secret rotates."""

    message: WebhookMessage
    secrets: tuple[str, ...]
    token: str
    n: int  # the attempt's number, from 1
    tries: int  # the same, counted from the last replay: what the schedule goes by


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt. `response_excerpt`: the first 4 kB at most."""

    status_code: int | None = None
    error: str | None = None
    response_excerpt: str | None = None
    duration_ms: int = 0


class WebhookMessages:
    """Messages and their attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def messages(
        self,
        account_id: str,
        *,
        job_id: str | None = None,
        endpoint_id: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> tuple[list[Logged], bool]:
        """Messages with their attempts, the newest first, and whether there is more.

        Raises InvalidRequest for an unknown cursor.
        """
        page = select(WebhookMessage).where(col(WebhookMessage.account_id) == account_id)
        if job_id is not None:
            page = page.where(col(WebhookMessage.job_id) == job_id)
        if endpoint_id is not None:
            page = page.where(col(WebhookMessage.endpoint_id) == endpoint_id)
        key = (col(WebhookMessage.created_at), col(WebhookMessage.id))
        with self._database.read() as session:
            if after is not None:
                page = page.where(tuple_(*key) < _edge(session, account_id, after))
            rows = list(session.scalars(page.order_by(*(column.desc() for column in key)).limit(limit + 1)))
            return _with_attempts(session, rows[:limit]), len(rows) > limit

    def message(self, account_id: str, message_id: str) -> Logged:
        """One message with its attempts. Raises NotFound."""
        with self._database.read() as session:
            return _with_attempts(session, [_own(session, account_id, message_id)])[0]

    def due(self, limit: int = 100) -> list[str]:
        """Ids of messages whose time has come and that nobody was told of within the last 10 s; marks them as told."""
        some = (
            select(WebhookMessage)
            .where(*_due(), or_(col(WebhookMessage.lease_until).is_(None), col(WebhookMessage.lease_until) < now()))
            .order_by(col(WebhookMessage.next_attempt_at))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.write() as session:
            messages = session.scalars(some).all()
            until = read_clock(session) + NAMED_AGAIN
            for message in messages:
                message.lease_token = None
                message.lease_until = until
            return [message.id for message in messages]

    def claim_due(self, message_id: str) -> Delivery | None:
        """The right to make the next attempt; None when it is not due, not pending or somebody else makes it."""
        free = or_(col(WebhookMessage.lease_token).is_(None), col(WebhookMessage.lease_until) < now())
        one = select(WebhookMessage).where(col(WebhookMessage.id) == message_id, *_due(), free)
        with self._database.write() as session:
            message = session.scalars(one.with_for_update()).one_or_none()
            if message is None:
                return None
            url, secrets = _target(session, message)
            if url is None or message.attempts - message.schedule_from >= MOST_CLAIMS:
                _settle(message, "dropped" if url is None else "exhausted")
                return None
            message.url = url
            message.attempts += 1
            message.lease_token = new_token()
            message.lease_until = read_clock(session) + LEASE_SECONDS
            tries = message.attempts - message.schedule_from
        return Delivery(message, secrets, message.lease_token, message.attempts, tries)

    def record(
        self, delivery: Delivery, outcome: Outcome, *, delivered: bool, retry_in: float | None, gone: bool = False
    ) -> WebhookMessage | None:
        """Log the attempt and what follows: delivered; or again in `retry_in` seconds; or None: exhausted.

        `gone` (a 410) disables the endpoint and drops its waiting messages. Returns None when the message was deleted or
        claimed by another since; the attempt is logged all the same where there is a message to log it to.
        """
        with self._database.write() as session:
            # Endpoints are locked before messages, here and in delete_endpoint.
            endpoint = _locked_endpoint(session, delivery.message.endpoint_id) if gone else None
            message = session.get(WebhookMessage, delivery.message.id, with_for_update=True)
            if message is None:
                return None
            time = read_clock(session)
            session.add(_attempt(delivery, outcome, time))
            if message.lease_token != delivery.token:
                return None
            message.last_status = outcome.status_code
            if delivered:
                _settle(message, "delivered")
                message.delivered_at = time
            elif gone:
                _settle(message, "dropped")
                _disable(session, endpoint, time)
            elif retry_in is None:
                _settle(message, "exhausted")
            else:
                message.lease_token = message.lease_until = None
                message.next_attempt_at = time + retry_in
        return message

    def replay(self, account_id: str, message_id: str) -> WebhookMessage:
        """Send it again from now on, with the same id and a fresh schedule. Raises NotFound."""
        with self._database.write() as session:
            message = _own(session, account_id, message_id, lock=True)
            message.status = "pending"
            message.schedule_from = message.attempts
            message.next_attempt_at = read_clock(session)
            message.lease_token = message.lease_until = None
        return message

    def counts(self) -> dict[str, int]:
        """{"pending", "delivered", "exhausted", "dropped", "endpoints_disabled"}."""
        by_status = select(col(WebhookMessage.status), func.count()).group_by(col(WebhookMessage.status))
        disabled = select(func.count()).where(col(WebhookEndpoint.status) == "disabled")
        with self._database.read() as session:
            counted = dict(session.execute(by_status).all())
            counted["endpoints_disabled"] = session.execute(disabled).scalar_one()
        return {"pending": 0, "delivered": 0, "exhausted": 0, "dropped": 0, **counted}


def _due() -> tuple[ColumnElement[bool], ...]:
    return (col(WebhookMessage.status) == "pending", col(WebhookMessage.next_attempt_at) <= now())


def _target(session: Session, message: WebhookMessage) -> tuple[str | None, tuple[str, ...]]:
    """Where to send it, None when nobody is there any more, and the secrets in force."""
    if message.endpoint_id is None:
        job = session.get(Job, message.job_id) if message.job_id else None
        return message.url, (job.webhook_secret,) if job and job.webhook_secret else ()
    endpoint = session.get(WebhookEndpoint, message.endpoint_id)
    if endpoint is None or endpoint.status != "active":
        return None, ()
    secrets = [endpoint.secret]
    if endpoint.old_secret and (endpoint.old_secret_until or 0) > read_clock(session):
        secrets.append(endpoint.old_secret)
    return endpoint.url, tuple(secrets)


def _attempt(delivery: Delivery, outcome: Outcome, ended_at: float) -> WebhookAttempt:
    return WebhookAttempt(
        message_id=delivery.message.id,
        n=delivery.n,
        started_at=ended_at - outcome.duration_ms / 1000,
        duration_ms=outcome.duration_ms,
        status_code=outcome.status_code,
        error=outcome.error,
        response_excerpt=outcome.response_excerpt,
    )


def _settle(message: WebhookMessage, status: str) -> None:
    message.status = status
    message.next_attempt_at = message.lease_token = message.lease_until = None


def _locked_endpoint(session: Session, endpoint_id: str | None) -> WebhookEndpoint | None:
    return session.get(WebhookEndpoint, endpoint_id, with_for_update=True) if endpoint_id else None


def _disable(session: Session, endpoint: WebhookEndpoint | None, time: float) -> None:
    if endpoint is not None:
        endpoint.status = "disabled"
        endpoint.updated_at = time
        drop_waiting(session, endpoint.id)


def _own(session: Session, account_id: str, message_id: str, *, lock: bool = False) -> WebhookMessage:
    message = session.get(WebhookMessage, message_id, with_for_update=lock or None)
    if message is None or message.account_id != account_id:
        raise NotFound("No such webhook message.")
    return message


def _edge(session: Session, account_id: str, after: str) -> tuple[float, str]:
    try:
        last = _own(session, account_id, after)
    except NotFound as error:
        raise InvalidRequest(f"No such webhook message: after={after}", param="after") from error
    return last.created_at, last.id


def _with_attempts(session: Session, messages: list[WebhookMessage]) -> list[Logged]:
    tried = (
        select(WebhookAttempt)
        .where(col(WebhookAttempt.message_id).in_([message.id for message in messages]))
        .order_by(col(WebhookAttempt.message_id), col(WebhookAttempt.n))
    )
    attempts = {key: list(rows) for key, rows in groupby(session.scalars(tried), lambda attempt: attempt.message_id)}
    return [(message, attempts.get(message.id, [])) for message in messages]
