"""The outbox's other end: the right to send a message, and what became of each attempt.

A wake-up names a message and is only a hint: the claim chooses the one that is next (infra/webhooks/next_delivery.py). A message
is claimed for one attempt at a time. Whoever dies between sending and recording leaves a lease that runs out:
the message goes out again with the same id, and the receiver knows it by that.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Update, func, select, tuple_, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.ids import new_token
from infra.database.one_at_a_time import DELIVERIES, one_at_a_time
from infra.database.session import Database
from infra.database.tables.batches import Batch
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookAttempt, WebhookEndpoint, WebhookMessage
from infra.outbound.failures import sentence
from infra.webhooks.health.failing import note_attempt
from infra.webhooks.next_delivery import claimable, next_to_claim, next_to_ring, rung
from infra.webhooks.outbox import BATCH_TARGET, LISTENING
from infra.webhooks.permission import may_be_told
from infra.webhooks.receivers import answered, forget_receivers, served, stayed_silent
from infra.webhooks.retry_schedule import Verdict
from pipeline.errors import InvalidRequest, NotFound

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0  # an attempt has a deadline of 15 s
MOST_CLAIMS = 30  # per schedule of 10: only senders that die before they record get there

Logged = tuple[WebhookMessage, list[WebhookAttempt]]


@dataclass(frozen=True)
class Delivery:
    """One attempt that this process may make now. `secrets`, as the rows keep them, sign it: two while a secret rotates; `headers`,
    likewise, are the receiver's own."""

    message: WebhookMessage
    secrets: tuple[str, ...]
    token: str
    n: int  # the attempt's number, from 1
    tries: int  # the same, counted from the last replay: what the schedule goes by
    headers: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Receiving:
    """Where a message goes, and with what."""

    url: str
    secrets: tuple[str, ...] = ()
    headers: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which messages of an account; None: whatever it is. Times in whole epoch seconds, as `created_at` is shown, both included."""

    job_id: str | None = None
    endpoint_id: str | None = None
    status: str | None = None
    since: float | None = None
    until: float | None = None

    def conditions(self, account_id: str) -> Iterator[ColumnElement[bool]]:
        """As a statement has them."""
        yield col(WebhookMessage.account_id) == account_id
        yield col(WebhookMessage.status) != LISTENING
        for name in ("job_id", "endpoint_id", "status"):
            if getattr(self, name) is not None:
                yield getattr(WebhookMessage, name) == getattr(self, name)
        if self.since is not None:
            yield col(WebhookMessage.created_at) >= self.since
        if self.until is not None:
            yield col(WebhookMessage.created_at) < math.floor(self.until) + 1


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt. `response_excerpt`: the first 4 kB at most."""

    status_code: int | None = None
    error: str | None = None
    response_excerpt: str | None = None
    duration_ms: int = 0


ALL = Which()


class WebhookMessages:
    """Messages and their attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def messages(
        self, account_id: str, which: Which = ALL, *, limit: int = 100, after: str | None = None
    ) -> tuple[list[Logged], bool]:
        """Messages with their attempts, the newest first, and whether there is more.

        Raises InvalidRequest for an unknown cursor.
        """
        page = select(WebhookMessage).where(*which.conditions(account_id))
        key = (col(WebhookMessage.created_at), col(WebhookMessage.id))
        with self._database.read() as session:
            if after is not None:
                page = page.where(tuple_(*key) < _edge(session, account_id, after))
            rows = list(session.scalars(page.order_by(*(column.desc() for column in key)).limit(limit + 1)))
            return _with_attempts(session, rows[:limit]), len(rows) > limit

    def message(self, account_id: str, message_id: str) -> Logged:
        """One message with its attempts. Raises NotFound."""
        with self._database.read() as session:
            return _with_attempts(session, [own_message(session, account_id, message_id)])[0]

    def due(self, limit: int = 100) -> list[str]:
        """Ids of messages to send a wake-up for, the next first; marks them as rung.

        Each is named once, until an attempt at it is recorded or `lost` names it again, and never more than may be sent at once.
        """
        with self._database.read() as session:
            nothing_due = session.scalar(next_to_ring()) is None
        if nothing_due:  # nearly always; and nobody is kept from writing to find that out
            return []
        with self._database.write() as session:
            _adopt(session)
            one_at_a_time(session, DELIVERIES)
            named: list[str] = []
            while len(named) < limit and (message_id := session.scalar(next_to_ring())) is not None:
                session.execute(_one(message_id).values(dispatched_at=now(), lease_token=None, lease_until=None))
                named.append(message_id)
        return named

    def rung(self) -> int:
        """How many wake-ups should be under way."""
        with self._database.read() as session:
            return session.execute(select(func.count()).where(*_rung())).scalar_one()

    def lost(self, older_than_seconds: float, limit: int = 100) -> list[str]:
        """Rung that long ago and still nobody's, the longest ago first: the wake-up may be lost. Marks them as rung now."""
        rung_at = col(WebhookMessage.dispatched_at)
        stale = select(col(WebhookMessage.id)).where(*_rung(), rung_at < now() - older_than_seconds)
        with self._database.write() as session:
            ids = list(session.scalars(stale.order_by(rung_at).limit(limit)))
            session.execute(
                update(WebhookMessage).where(col(WebhookMessage.id).in_(ids), *_rung()).values(dispatched_at=now())
            )
        return ids

    def claim(self, hint: str) -> Delivery | None:
        """The right to make the next attempt, at whichever message is next; None when none may be sent now.

        `hint` is the message that was rung for. When another one is sent in its place it waits for a new wake-up.
        """
        with self._database.write() as session:
            one_at_a_time(session, DELIVERIES)
            while (message := session.scalars(_claim(new_token())).one_or_none()) is not None:
                if message.dispatched_at is None:
                    session.execute(_unring(hint))
                    hint = message.id
                if delivery := _delivery(session, message):
                    return delivery
            session.execute(_unring(hint))
        return None

    def refuse(self, hint: str) -> None:
        """Nobody here has time for the message that was rung for; another wake-up will be sent."""
        with self._database.write() as session:
            session.execute(_unring(hint))

    def forget_receivers(self, older_than_seconds: float) -> None:
        """What is known of those whom nothing was sent to for so long."""
        with self._database.write() as session:
            forget_receivers(session, older_than_seconds)

    def record(
        self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, scale: float = 1.0
    ) -> WebhookMessage | None:
        """Log the attempt and what follows from it; `scale` multiplies how long a receiver that kept silent is left alone.

        A 410, or seven days of failures, disable the endpoint and drop its waiting messages. Returns None when the message was
        deleted or claimed by another since; the attempt is logged all the same where there is a message to log it to.
        """
        with self._database.write() as session:
            if verdict.timed_out:
                one_at_a_time(session, DELIVERIES)
            # Endpoints are locked before messages, here and in delete_endpoint.
            endpoint = _locked_endpoint(session, delivery.message.endpoint_id)
            message = session.get(WebhookMessage, delivery.message.id, with_for_update=True)
            if message is None:
                return None
            time = read_clock(session)
            session.add(_attempt(delivery, outcome, time))
            if message.lease_token != delivery.token:
                return None
            message.last_status, message.last_error = outcome.status_code, outcome.error
            _follow(message, verdict, time)
            session.flush()
            if verdict.timed_out:
                stayed_silent(session, message.receiver, scale)
            else:
                answered(session, message.receiver)
            if endpoint is not None:
                note_attempt(session, endpoint, verdict, code=outcome.error, status=outcome.status_code, time=time)
        return message

    def counts(self) -> dict[str, int]:
        """{"pending", "delivered", "exhausted", "dropped", "endpoints_disabled"}."""
        by_status = select(col(WebhookMessage.status), func.count()).group_by(col(WebhookMessage.status))
        disabled = select(func.count()).where(col(WebhookEndpoint.status) == "disabled")
        with self._database.read() as session:
            counted = dict(session.execute(by_status).all())
            counted["endpoints_disabled"] = session.execute(disabled).scalar_one()
        return {"pending": 0, "delivered": 0, "exhausted": 0, "dropped": 0, **counted}

    def waiting(self) -> dict[str, float]:
        """{"pending", "lag_seconds", "endpoints_disabled"}: messages to be sent, and how long the oldest that is due has waited.

        Read from the index of those that are pending, however many were delivered.
        """
        is_pending = col(WebhookMessage.status) == "pending"
        first = func.min(func.coalesce(col(WebhookMessage.next_attempt_at), now()))
        disabled = select(func.count()).where(col(WebhookEndpoint.status) == "disabled")
        with self._database.read() as session:
            pending, lag = session.execute(select(func.count(), now() - first).where(is_pending)).one()
            off = session.execute(disabled).scalar_one()
        return {"pending": pending, "lag_seconds": max(0.0, lag or 0.0), "endpoints_disabled": off}


def _rung() -> tuple[ColumnElement[bool], ...]:
    return (col(WebhookMessage.status) == "pending", rung())


def _one(message_id: str) -> Update:
    return update(WebhookMessage).where(col(WebhookMessage.id) == message_id)


def _unring(message_id: str) -> Update:
    return _one(message_id).where(col(WebhookMessage.lease_token).is_(None)).values(dispatched_at=None)


def _claim(token: str) -> ReturningUpdate[WebhookMessage]:
    """One conditional update: of several senders that ask at once, each gets a message of its own."""
    return (
        update(WebhookMessage)
        .where(col(WebhookMessage.id) == next_to_claim().scalar_subquery(), claimable())
        .values(
            attempts=col(WebhookMessage.attempts) + 1,
            lease_token=token,
            lease_until=now() + LEASE_SECONDS,
        )
        .returning(WebhookMessage)
        .execution_options(populate_existing=True, synchronize_session=False)
    )


def _adopt(session: Session) -> None:
    """Messages of processes that know no receivers get one."""
    receiver = func.coalesce(col(WebhookMessage.endpoint_id), col(WebhookMessage.account_id))
    unknown = (col(WebhookMessage.status) == "pending", col(WebhookMessage.receiver) == "")
    session.execute(update(WebhookMessage).where(*unknown).values(receiver=receiver))


def _delivery(session: Session, message: WebhookMessage) -> Delivery | None:
    """None for a message that is at its end."""
    to = _receiving(session, message) if may_be_told(session, message) else None
    tries = message.attempts - message.schedule_from
    if to is None or tries > MOST_CLAIMS:
        message.attempts -= 1  # none was made
        message.last_error = "nobody_to_tell" if to is None else "sender_lost"
        _settle(message, "dropped" if to is None else "exhausted")
        log.warning("webhook %s is %s. %s", message.id, message.status, sentence(message.last_error))
        session.flush()
        return None
    message.url = to.url
    served(session, message)
    assert message.lease_token is not None
    return Delivery(message, to.secrets, message.lease_token, message.attempts, tries, to.headers)


def _receiving(session: Session, message: WebhookMessage) -> Receiving | None:
    """Where to send it, with the secrets in force; None when nobody is there any more."""
    if message.target == BATCH_TARGET:
        batch = session.get(Batch, message.subject.partition("/")[0])
        return None if batch is None else Receiving(message.url, _signing(batch.webhook_secret))
    if message.endpoint_id is None:
        job = session.get(Job, message.job_id) if message.job_id else None
        if job is not None and job.cleared:  # there is nothing left to sign it with
            return None
        return Receiving(message.url, _signing(job.webhook_secret if job else None))
    endpoint = session.get(WebhookEndpoint, message.endpoint_id)
    if endpoint is None or (endpoint.status != "active" and not message.once):
        return None
    still_old = endpoint.old_secret if (endpoint.old_secret_until or 0) > read_clock(session) else None
    return Receiving(endpoint.url, _signing(endpoint.secret, still_old), endpoint.headers)


def _signing(*secrets: str | None) -> tuple[str, ...]:
    return tuple(secret for secret in secrets if secret)


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


def _follow(message: WebhookMessage, verdict: Verdict, time: float) -> None:
    if verdict.delivered:
        _settle(message, "delivered")
        message.delivered_at = time
    elif verdict.gone or verdict.retry_in is None:
        _settle(message, "dropped" if verdict.gone or message.once else "exhausted")
    else:
        message.dispatched_at = message.lease_token = message.lease_until = None
        message.next_attempt_at = time + verdict.retry_in


def _settle(message: WebhookMessage, status: str) -> None:
    message.status = status
    message.next_attempt_at = message.dispatched_at = message.lease_token = message.lease_until = None


def _locked_endpoint(session: Session, endpoint_id: str | None) -> WebhookEndpoint | None:
    return session.get(WebhookEndpoint, endpoint_id, with_for_update=True) if endpoint_id else None


def own_message(session: Session, account_id: str, message_id: str, *, lock: bool = False) -> WebhookMessage:
    """Raises NotFound: unknown and foreign look the same."""
    message = session.get(WebhookMessage, message_id, with_for_update=lock or None)
    if message is None or message.account_id != account_id or message.status == LISTENING:
        raise NotFound("No such webhook message.")
    return message


def _edge(session: Session, account_id: str, after: str) -> tuple[float, str]:
    try:
        last = own_message(session, account_id, after)
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
