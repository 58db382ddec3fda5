"""What administrators did: who, from where, what, when. Rows are only ever added; the database refuses anything else.

A row is written in the transaction that does the act, so there is neither without the other. It holds no secret and no text
that somebody wrote (names, notes), because it outlives what an account may want erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.audit.actor import current_actor
from infra.database.clock import now
from infra.database.session import Database
from infra.database.tables.accounts import AuditEntry
from infra.database.tables.jobs import Job

Act = Literal[
    "account.create",
    "account.update",
    "key.create",
    "key.rotate",
    "key.revoke",
    "balance.top_up",
    "balance.adjust",
    "ratio.set",
    "ratio.clear",
    "job.cancel",
    "job.retry",
    "account.erase",
]
ACTS: tuple[str, ...] = get_args(Act)


def record(
    session: Session, act: Act, *, account_id: str | None = None, subject: str, details: Mapping[str, Any] | None = None
) -> None:
    """In the act's own transaction. `subject` is what it was done to: an account's, key's, model's or booking's id."""
    actor = current_actor()
    row = {"act": act, "account_id": account_id, "subject": subject, "details": dict(details or {})}
    by = {"who": actor.who, "source": actor.source, "request_id": actor.request_id}
    session.execute(insert(AuditEntry).values(at=now(), **row, **by))


def record_job(act: Act, session: Session, job: Job) -> None:
    """The same of what the operator does to an account's job; what its own keys do is in the job's timeline."""
    record(session, act, account_id=job.account_id, subject=job.id)


def changes(before: Mapping[str, Any], after: Mapping[str, Any], *, texts: frozenset[str]) -> dict[str, Any]:
    """The details of a change, empty where there was none: which fields, and their values but those of `texts`."""
    changed = [name for name in before if before[name] != after[name]]
    shown = [name for name in changed if name not in texts]
    sides = {"from": {name: before[name] for name in shown}, "to": {name: after[name] for name in shown}}
    return {"changed": changed, **sides} if changed else {}


class AuditLog:
    """The log as its readers turn the pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(
        self,
        *,
        limit: int,
        after: int | None = None,
        account_id: str | None = None,
        act: str | None = None,
        subject: str | None = None,
    ) -> tuple[list[AuditEntry], bool]:
        """A page, the newest first, and whether there is more. `after` is the last id already known."""
        query = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit + 1)
        wanted = {"account_id": account_id, "act": act, "subject": subject}
        query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
        if after is not None:
            query = query.where(col(AuditEntry.id) < after)
        with self._database.read() as session:
            rows = list(session.scalars(query))
        return rows[:limit], len(rows) > limit
