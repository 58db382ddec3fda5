"""Who follows an account's events as they happen (`GET /v1/webhook_events`): an endpoint without a URL, for as long as it is read.

What is read is gone. Who comes back within two minutes gets what came about meanwhile.
"""

from __future__ import annotations

from sqlalchemy import Delete, Select, delete, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.webhooks.outbox import LISTENING

MOST_LISTENERS = 20  # of one account; the longest silent gives way
AT_ONCE = 100  # events of one look


class WebhookListeners:
    """Each method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listen(self, account_id: str, event_types: list[str], resumed: str | None = None) -> str:
        """The listener's id: that of `resumed` where it is one of the account's and not forgotten, else a new one's."""
        with self._database.write() as session:
            time = read_clock(session)
            known = session.get(WebhookEndpoint, resumed, with_for_update=True) if resumed else None
            if known is not None and known.account_id == account_id and known.status == LISTENING:
                known.event_types, known.updated_at = event_types, time
                return known.id
            _make_room(session, account_id)
            made = WebhookEndpoint(
                id=new_id("whl"),
                account_id=account_id,
                url="",
                event_types=event_types,
                secret="",
                status=LISTENING,
                created_at=time,
                updated_at=time,
            )
            session.add(made)
            return made.id

    def overheard(self, listener_id: str) -> list[WebhookMessage]:
        """What has come about and was not read, the oldest first, AT_ONCE of it."""
        waiting = select(WebhookMessage).where(
            col(WebhookMessage.endpoint_id) == listener_id, col(WebhookMessage.status) == LISTENING
        )
        with self._database.read() as session:
            order = (col(WebhookMessage.created_at), col(WebhookMessage.id))
            return list(session.scalars(waiting.order_by(*order).limit(AT_ONCE)))

    def read(self, ids: list[str]) -> None:
        """These have gone out."""
        with self._database.write() as session:
            session.execute(delete(WebhookMessage).where(col(WebhookMessage.id).in_(ids)))

    def still_there(self, listener_id: str) -> bool:
        """Whether it is still known; it is kept for some time more."""
        alive = update(WebhookEndpoint).where(col(WebhookEndpoint.id) == listener_id).values(updated_at=now())
        with self._database.write() as session:
            return session.execute(alive.returning(col(WebhookEndpoint.id))).first() is not None

    def forget_listeners(self, older_than_seconds: float) -> None:
        """Those who have read nothing for so long, with what they should have read."""
        silent = _listeners().where(col(WebhookEndpoint.updated_at) < now() - older_than_seconds)
        with self._database.write() as session:
            _forget(session, list(session.scalars(silent)))


def _listeners() -> Select[str]:
    return select(col(WebhookEndpoint.id)).where(col(WebhookEndpoint.status) == LISTENING)


def _make_room(session: Session, account_id: str) -> None:
    mine = _listeners().where(col(WebhookEndpoint.account_id) == account_id)
    latest_first = mine.order_by(col(WebhookEndpoint.updated_at).desc(), col(WebhookEndpoint.id))
    _forget(session, list(session.scalars(latest_first.offset(MOST_LISTENERS - 1))))


def _forget(session: Session, ids: list[str]) -> None:
    statements: tuple[Delete, ...] = (
        delete(WebhookMessage).where(col(WebhookMessage.endpoint_id).in_(ids)),
        delete(WebhookEndpoint).where(col(WebhookEndpoint.id).in_(ids)),
    )
    for statement in statements if ids else ():
        session.execute(statement)
