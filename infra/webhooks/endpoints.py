"""Where accounts want their events."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.encryption.secret_box import PLAIN, SecretBox
from infra.idempotency import Idempotency, create_once, forget_made
from infra.keys.account_limits import endpoints_of, want_room
from infra.webhooks.health.failing import drop_waiting, forgive
from infra.webhooks.outbox import LISTENING, TEST_EVENT, endpoint_message
from infra.webhooks.receivers import answered, ask_again, same_origin
from infra.webhooks.signing_secrets import new_secret
from pipeline.errors import InvalidRequest, NotFound, SecretUnreadable

log = logging.getLogger(__name__)

OVERLAP_SECONDS = 24 * 3600.0  # how long the old secret signs as well


class WebhookEndpoints:
    """An account's endpoints. Every method raises NotFound for what is not this account's.

    What they answer has the secret and the headers open, "" and {} where no key opens them; it is a copy, which no session writes
    back.
    """

    def __init__(self, database: Database, secrets: SecretBox = PLAIN) -> None:
        self._database = database
        self._secrets = secrets

    def create_endpoint(self, account_id: str, **wanted: Any) -> WebhookEndpoint:
        """A new endpoint, wanted as `create_endpoint_once` has it."""
        return self.create_endpoint_once(account_id, None, **wanted)[0]

    def create_endpoint_once(
        self,
        account_id: str,
        idempotency: Idempotency | None,
        *,
        name: str,
        url: str,
        event_types: list[str],
        headers: dict[str, str] | None = None,
        secret: str | None = None,
    ) -> tuple[WebhookEndpoint, dict[str, Any] | None]:
        """(new endpoint, None), or the one of a repeated request with its first answer, as `create_once` has it.

        Its `secret` (whsec_…) is made here unless given, and shown by the door in that answer only; the values of `headers` never
        are. Raises LimitExceeded.
        """
        sealed, sealed_headers = self._secrets.seal(secret or new_secret()), self._sealed(headers)

        def insert(session: Session) -> WebhookEndpoint:
            time = read_clock(session)
            want_room(session, account_id, "webhook_endpoints", endpoints_of(account_id))
            endpoint = WebhookEndpoint(
                id=new_id("whe"),
                account_id=account_id,
                name=name,
                url=url,
                event_types=event_types,
                secret=sealed,
                headers=sealed_headers,
                created_at=time,
                updated_at=time,
            )
            session.add(endpoint)
            return endpoint

        if idempotency is not None:
            answer = idempotency.answer
            idempotency = replace(idempotency, answer=lambda endpoint: answer(self._opened(endpoint)))
        made = create_once(self._database, account_id, idempotency, WebhookEndpoint, insert, secrets=self._secrets)
        return self._opened(made[0]), made[1]

    def endpoint(self, account_id: str, endpoint_id: str) -> WebhookEndpoint:
        """One of them."""
        with self._database.read() as session:
            return self._opened(own_endpoint(session, account_id, endpoint_id))

    def endpoints(
        self, account_id: str, *, limit: int = 20, after: str | None = None, order: Literal["asc", "desc"] = "desc"
    ) -> tuple[list[WebhookEndpoint], bool]:
        """A page by creation time and whether there is more. Raises InvalidRequest for an unknown cursor."""
        key = tuple_(col(WebhookEndpoint.created_at), col(WebhookEndpoint.id))
        page = select(WebhookEndpoint).where(*_of_account(account_id))
        with self._database.read() as session:
            if after is not None:
                try:
                    last = own_endpoint(session, account_id, after)
                except NotFound as error:
                    raise InvalidRequest(f"No such webhook endpoint: after={after}", param="after") from error
                edge = (last.created_at, last.id)
                page = page.where(key > edge if order == "asc" else key < edge)
            columns = (col(WebhookEndpoint.created_at), col(WebhookEndpoint.id))
            page = page.order_by(*(column.asc() if order == "asc" else column.desc() for column in columns))
            rows = list(session.scalars(page.limit(limit + 1)))
        return [self._opened(row) for row in rows[:limit]], len(rows) > limit

    def update_endpoint(
        self,
        account_id: str,
        endpoint_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        event_types: list[str] | None = None,
        headers: dict[str, str] | None = None,
        status: Literal["active", "disabled"] | None = None,
    ) -> WebhookEndpoint:
        """Change what is given; `headers` as a whole. Waiting messages follow the endpoint to its new URL; its headers, which may
        be secret, do so to the same server only."""
        changes: dict[str, Any] = {"name": name, "url": url, "event_types": event_types, "status": status}
        sealed = self._sealed(headers)
        with self._database.write() as session:
            endpoint = own_endpoint(session, account_id, endpoint_id, lock=True)
            if headers is not None or (url is not None and not same_origin(url, endpoint.url)):
                endpoint.headers = sealed
            for field, value in changes.items():
                if value is not None:
                    setattr(endpoint, field, value)
            endpoint.updated_at = read_clock(session)
            if url is not None or status is not None:
                forgive(endpoint)
                answered(session, endpoint.id)
        return self._opened(endpoint)

    def delete_endpoint(self, account_id: str, endpoint_id: str) -> None:
        """Its waiting messages are dropped; the log of what was sent stays."""
        with self._database.write() as session:
            endpoint = own_endpoint(session, account_id, endpoint_id, lock=True)
            drop_waiting(session, endpoint.id, "nobody_to_tell")
            forget_made(session, account_id, endpoint.id)
            session.delete(endpoint)

    def rotate_secret(self, account_id: str, endpoint_id: str, *, keep_old: bool = False) -> WebhookEndpoint:
        """A new secret; with `keep_old` messages are signed with both for 24 h."""
        sealed = self._secrets.seal(new_secret())
        with self._database.write() as session:
            endpoint = own_endpoint(session, account_id, endpoint_id, lock=True)
            time = read_clock(session)
            endpoint.old_secret = endpoint.secret if keep_old else None
            endpoint.old_secret_until = time + OVERLAP_SECONDS if keep_old else None
            endpoint.secret = sealed
            endpoint.updated_at = time
        return self._opened(endpoint)

    def send_test(
        self, account_id: str, endpoint_id: str, event_type: str = TEST_EVENT, data: dict[str, Any] | None = None
    ) -> WebhookMessage:
        """Put a test message into the outbox, to be tried once, whatever types the endpoint subscribes to, and though it be
        disabled."""
        with self._database.write() as session:
            endpoint = own_endpoint(session, account_id, endpoint_id)
            told = {"id": endpoint.id, "object": "webhook_endpoint"} if data is None else data
            message = endpoint_message(endpoint, event_type, read_clock(session), {**told, "test": True}, once=True)
            session.add(message)
            ask_again(session, endpoint.id)
        return message

    def pending(self, account_id: str) -> dict[str, int]:
        """How many messages wait to be sent to each of the account's endpoints that any wait for."""
        mine = select(col(WebhookEndpoint.id)).where(*_of_account(account_id))
        waiting = (col(WebhookMessage.status) == "pending", col(WebhookMessage.receiver).in_(mine))
        counted = select(col(WebhookMessage.receiver), func.count()).where(*waiting)
        with self._database.read() as session:
            return dict(session.execute(counted.group_by(col(WebhookMessage.receiver))).all())

    def in_trouble(self, account_id: str) -> list[WebhookEndpoint]:
        """Those that have taken nothing for days, and those that were disabled for it, or because they asked for it."""
        told = or_(col(WebhookEndpoint.told_failing), col(WebhookEndpoint.disabled_reason).is_not(None))
        found = select(WebhookEndpoint).where(*_of_account(account_id), told).order_by(col(WebhookEndpoint.id))
        with self._database.read() as session:
            return list(session.scalars(found))

    def _sealed(self, headers: dict[str, str] | None) -> dict[str, Any] | None:
        """Call it outside of transactions, as what seals."""
        return self._secrets.seal_object(headers) if headers else None

    def _opened(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        headers: dict[str, Any] = {}
        try:
            secret = self._secrets.open(endpoint.secret)
            headers = self._secrets.open_object(endpoint.headers or {})
        except SecretUnreadable:
            log.warning("no key of STENOPOOL_SECRETS_KEY opens the secrets of webhook endpoint %s", endpoint.id)
            secret = ""
        return WebhookEndpoint(**{**endpoint.model_dump(), "secret": secret, "headers": headers})


def own_endpoint(session: Session, account_id: str, endpoint_id: str, *, lock: bool = False) -> WebhookEndpoint:
    """Raises NotFound: unknown and foreign look the same."""
    endpoint = session.get(WebhookEndpoint, endpoint_id, with_for_update=lock or None)
    if endpoint is None or endpoint.account_id != account_id or endpoint.status == LISTENING:
        raise NotFound("No such webhook endpoint.")
    return endpoint


def _of_account(account_id: str) -> tuple[ColumnElement[bool], ...]:
    """Those that somebody made; who follows the event stream is none."""
    return (col(WebhookEndpoint.account_id) == account_id, col(WebhookEndpoint.status) != LISTENING)
