"""Send again what was sent, or was to be: one message, or all that an endpoint should have got in some time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.webhooks.delivery_queue import Which, own_message
from infra.webhooks.endpoints import own_endpoint
from infra.webhooks.next_delivery import in_flight
from infra.webhooks.receivers import ask_again
from pipeline.errors import Expired, NotFound, WrongState

AT_ONCE = 500  # messages in one transaction
DISABLED = "The endpoint is disabled. Set its `status` to `active`, then replay."
PURGED = "The job is purged, and with it the secret that its webhook was signed with."


class WebhookReplays:
    """The same events with the same ids, each on a fresh schedule."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replay(
        self, account_id: str, message_id: str, *, endpoint_id: str | None = None, job_id: str | None = None
    ) -> WebhookMessage:
        """One message, of that endpoint or job where one is given. Raises NotFound, WrongState for a disabled endpoint, Expired
        where nothing is left to sign it with."""
        with self._database.write() as session:
            message = own_message(session, account_id, message_id, lock=True)
            if endpoint_id not in (None, message.endpoint_id) or job_id not in (None, message.job_id):
                raise NotFound("There is no such delivery.")
            _want_receiver(session, message)
            for name, value in _from_now(read_clock(session)).items():
                setattr(message, name, value)
            message.schedule_from = message.attempts
            ask_again(session, message.receiver)
        return message

    def replay_all(
        self, account_id: str, endpoint_id: str, *, since: float, until: float | None = None, status: str | None = None
    ) -> int:
        """All that came about from `since` to `until` (epoch seconds) and is, where it is given, in that status; the oldest first.
        How many these are: tests, and what is being sent at this moment, are not among them. Raises NotFound, WrongState for a
        disabled endpoint."""
        which = Which(endpoint_id=endpoint_id, status=status, since=since, until=until)
        with self._database.read() as session:
            if own_endpoint(session, account_id, endpoint_id).status != "active":
                raise WrongState(DISABLED)
            mine = select(col(WebhookMessage.id)).where(*which.conditions(account_id), ~col(WebhookMessage.once))
            ids = list(session.scalars(mine.order_by(col(WebhookMessage.created_at), col(WebhookMessage.id))))
            time = read_clock(session)
        return sum(self._some(endpoint_id, ids[at : at + AT_ONCE], time) for at in range(0, len(ids), AT_ONCE))

    def _some(self, endpoint_id: str, ids: list[str], time: float) -> int:
        """All of them with one time: the next delivery goes by that, and then by ids, which grow."""
        with self._database.write() as session:
            ask_again(session, endpoint_id)
            return _put_back(session, ids, time)


def _want_receiver(session: Session, message: WebhookMessage) -> None:
    if message.endpoint_id is not None:
        endpoint = session.get(WebhookEndpoint, message.endpoint_id)
        if endpoint is not None and endpoint.status != "active" and not message.once:
            raise WrongState(DISABLED)
        return
    job = session.get(Job, message.job_id) if message.job_id else None
    if job is not None and job.cleared:
        raise Expired(PURGED)


def _put_back(session: Session, ids: list[str], time: float) -> int:
    again = (
        update(WebhookMessage)
        .where(col(WebhookMessage.id).in_(ids), ~in_flight())
        .values(**_from_now(time), schedule_from=col(WebhookMessage.attempts))
        .returning(col(WebhookMessage.id))
        .execution_options(synchronize_session=False)
    )
    return len(session.execute(again).all())


def _from_now(time: float) -> dict[str, Any]:
    nobodys = {"dispatched_at": None, "lease_token": None, "lease_until": None}
    return {"status": "pending", "next_attempt_at": time, "began_at": time, **nobodys}
