"""Seal what is not sealed by the newest key: rows of before, rows written while old workers lived, rows under an older key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import String, and_, cast, or_, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.batches import Batch
from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookEndpoint
from infra.encryption.secret_box import SEALED, SecretBox, with_secrets
from pipeline.errors import SecretUnreadable

log = logging.getLogger(__name__)

PAGE = 500  # rows that are looked at together
ENOUGH = (
    2  # walks that find nothing: another process may have written plain text for some seconds after the first began
)

_ENDPOINT = (col(WebhookEndpoint.id),)
_JOB = (col(Job.id),)
_BATCH = (col(Batch.id),)
_ANSWER = (col(IdempotencyKey.account_id), col(IdempotencyKey.route), col(IdempotencyKey.key))


class Resealing:
    """Walks over all rows that may hold a secret, until nothing is left to do."""

    def __init__(self, database: Database, secrets: SecretBox) -> None:
        self._database = database
        self._secrets = secrets
        self._walks_without_finding = 0

    def reseal(self) -> int:
        """How many rows were sealed. Nothing to do once two walks in a row have found nothing, or while nothing may be sealed."""
        if not self._secrets.seals:
            self._walks_without_finding = 0
            return 0
        if self._walks_without_finding >= ENOUGH:
            return 0
        changed = self._walk(WebhookEndpoint, _ENDPOINT, self._seal_endpoint)
        changed += self._walk(Job, _JOB, self._seal_job, or_(col(Job.webhook_secret).is_not(None), _has_source()))
        changed += self._walk(Batch, _BATCH, self._seal_batch, col(Batch.webhook_secret).is_not(None))
        changed += self._walk(IdempotencyKey, _ANSWER, self._seal_answer, _tells_secret())
        self._walks_without_finding = 0 if changed else self._walks_without_finding + 1
        if changed:
            log.info("sealed the secrets of %d rows with the newest key", changed)
        elif self._walks_without_finding == ENOUGH:
            log.info("every secret is sealed with the newest key; older ones may leave STENOPOOL_SECRETS_KEY")
        return changed

    def _walk(self, table: Any, key: tuple[Any, ...], seal: Callable[[Any], bool], *wanted: Any) -> int:
        changed, after = 0, None
        while True:
            page = select(table).where(*wanted).order_by(*key).limit(PAGE)
            if after is not None:
                page = page.where(tuple_(*key) > tuple_(*after))
            with self._database.read() as session:
                rows = list(session.scalars(page))
            # `seal` tells from a copy whether there is anything to do; it is done again under the row's lock.
            changed += sum(self._under_lock(table, _identity(row, key), seal) for row in rows if self._try(seal, row))
            if len(rows) < PAGE:
                return changed
            after = _identity(rows[-1], key)

    def _under_lock(self, table: Any, identity: tuple[str, ...], seal: Callable[[Any], bool]) -> bool:
        with self._database.write() as session:
            row = _locked(session, table, identity)
            return row is not None and self._try(seal, row)

    def _try(self, seal: Callable[[Any], bool], row: Any) -> bool:
        try:
            return seal(row)
        except SecretUnreadable:
            log.warning("no key of STENOPOOL_SECRETS_KEY opens a secret of %s %s", row.__tablename__, _name(row))
            return False

    def _seal_endpoint(self, endpoint: WebhookEndpoint) -> bool:
        stored = endpoint.secret, endpoint.old_secret, endpoint.headers
        endpoint.secret = self._again(endpoint.secret)
        endpoint.old_secret = endpoint.old_secret and self._again(endpoint.old_secret)
        endpoint.headers = self._object_again(endpoint.headers)
        return stored != (endpoint.secret, endpoint.old_secret, endpoint.headers)

    def _seal_job(self, job: Job) -> bool:
        stored = job.webhook_secret, job.source
        job.webhook_secret = job.webhook_secret and self._again(job.webhook_secret)
        job.source = self._object_again(job.source)
        return stored != (job.webhook_secret, job.source)

    def _seal_batch(self, batch: Batch) -> bool:
        secret = batch.webhook_secret
        batch.webhook_secret = secret and self._again(secret)
        return secret != batch.webhook_secret

    def _seal_answer(self, kept: IdempotencyKey) -> bool:
        before = kept.response
        kept.response = with_secrets(before, self._again)
        return before != kept.response

    def _again(self, stored: str) -> str:
        return stored if self._secrets.is_current(stored) else self._secrets.seal(self._secrets.open(stored))

    def _object_again(self, stored: dict[str, Any] | None) -> dict[str, Any] | None:
        if stored is None or self._secrets.is_current(str(stored.get(SEALED) or "")):
            return stored
        return self._secrets.seal_object(self._secrets.open_object(stored))


def _has_source() -> Any:
    """JSON columns: a missing source is NULL, never the JSON null."""
    return col(Job.source).is_not(None)


def _tells_secret() -> Any:
    said = cast(col(IdempotencyKey.response), String)
    return and_(said.like("%secret%"), or_(said.like('%"whsec_%'), said.like('%"fernet:%')))


def _identity(row: Any, key: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(getattr(row, column.key) for column in key)


def _name(row: Any) -> str:
    return str(getattr(row, "id", None) or getattr(row, "object_id", ""))


def _locked(session: Session, table: Any, identity: tuple[str, ...]) -> Any:
    return session.get(table, identity, with_for_update=True)
