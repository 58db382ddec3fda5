"""The first answer to a creating request, kept for its repetitions.

The row is inserted in the transaction that creates the object, so that no crash can separate them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now
from infra.database.session import Database
from infra.database.tables.accounts import Account, ApiKey
from infra.database.tables.batches import Batch
from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import File, Upload
from infra.database.tables.webhooks import WebhookEndpoint
from infra.encryption.secret_box import PLAIN, SecretBox, with_secrets
from pipeline.errors import IdempotencyConflict

Made = TypeVar("Made", Job, WebhookEndpoint, Account, ApiKey, File, Upload, Batch)


@dataclass(frozen=True)
class Idempotency:
    """A caller's Idempotency-Key with what it stands for.

    `fingerprint` is a digest of everything that makes the request the same one. `answer` renders the first answer from
    the new object, inside the transaction; it must be pure and JSON-safe. `parts` has a digest of each of its fields.
    """

    route: str
    key: str
    fingerprint: str
    answer: Callable[[Any], dict[str, Any]]
    parts: Mapping[str, str] = field(default_factory=dict)


class IdempotencyStore:
    """Look up and forget keys; they are written by the store that creates the object."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, account_id: str, route: str, key: str) -> IdempotencyKey | None:
        """The stored first answer, if there is one: a door can replay it before it reads a long body."""
        with self._database.read() as session:
            return session.get(IdempotencyKey, (account_id, route, key))

    def forget(self, older_than_seconds: float, limit: int = 1000) -> int:
        """Delete keys past their time (24 h at least); returns how many."""
        identity = (col(IdempotencyKey.account_id), col(IdempotencyKey.route), col(IdempotencyKey.key))
        old = (
            select(*identity)
            .where(col(IdempotencyKey.created_at) < now() - older_than_seconds)
            .order_by(col(IdempotencyKey.created_at))
            .limit(limit)
        )
        with self._database.write() as session:
            keys = [tuple(row) for row in session.execute(old)]
            if keys:
                session.execute(delete(IdempotencyKey).where(tuple_(*identity).in_(keys)))
            return len(keys)


def create_once(
    database: Database,
    account_id: str,
    idempotency: Idempotency | None,
    kind: type[Made],
    insert: Callable[[Session], Made],
    *,
    afterwards: Callable[[Session, Made], None] | None = None,
    secrets: SecretBox = PLAIN,
) -> tuple[Made, dict[str, Any] | None]:
    """(new object, None), or (the first object, its first answer) when the key was used with the same fingerprint.

    `afterwards` comes last in the same transaction, when the key is ours. A secret in the answer is kept as `secrets` keeps it.
    Raises IdempotencyConflict for another fingerprint, and whatever `insert` and `afterwards` raise.
    """
    for _ in range(2):
        with database.write() as session:
            known = _recall(session, account_id, idempotency)
            first = session.get(kind, known.object_id) if known else None
            if known is not None and first is not None:
                return first, with_secrets(known.response, secrets.open)
            made = insert(session)
            if idempotency is None or _remember(session, account_id, idempotency, made, secrets):
                if afterwards is not None:
                    afterwards(session, made)
                return made, None
            session.rollback()  # somebody used the key at this very moment: theirs is there now
    raise AssertionError("a key that was just used is not there")


def forget_made(session: Session, account_id: str, object_id: str) -> None:
    """The object is deleted, and its key free for another one."""
    mine = (col(IdempotencyKey.account_id) == account_id, col(IdempotencyKey.object_id) == object_id)
    session.execute(delete(IdempotencyKey).where(*mine))


def _recall(session: Session, account_id: str, idempotency: Idempotency | None) -> IdempotencyKey | None:
    """What the key stands for already. Raises IdempotencyConflict when it stands for another request."""
    if idempotency is None:
        return None
    known = session.get(IdempotencyKey, (account_id, idempotency.route, idempotency.key))
    if known is not None and known.fingerprint != idempotency.fingerprint:
        raise IdempotencyConflict.with_earlier(known.object_id, _first_difference(known.parts or {}, idempotency.parts))
    return known


def _first_difference(known: Mapping[str, str], given: Mapping[str, str]) -> str | None:
    """None where nobody wrote down what the first request said."""
    names = dict.fromkeys([*given, *known]) if known else ()
    return next((name for name in names if known.get(name) != given.get(name)), None)


def _remember(
    session: Session,
    account_id: str,
    idempotency: Idempotency,
    made: Job | WebhookEndpoint | Account | ApiKey | File | Upload | Batch,
    secrets: SecretBox,
) -> bool:
    """Keep the first answer; False when somebody else has used the key since `_recall`."""
    row = {
        "account_id": account_id,
        "route": idempotency.route,
        "key": idempotency.key,
        "fingerprint": idempotency.fingerprint,
        "parts": dict(idempotency.parts) or None,
        "object_id": made.id,
        "response": with_secrets(idempotency.answer(made), secrets.seal),
        "created_at": made.created_at,
    }
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(IdempotencyKey).values(row).on_conflict_do_nothing().returning(col(IdempotencyKey.key))
    return session.execute(statement).first() is not None
