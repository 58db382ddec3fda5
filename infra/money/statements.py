"""The ledger and the receipts as their readers turn the pages: an account its own, the operator everybody's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry, OpenHold, Receipt
from infra.money.usage import Wanted, narrowed
from pipeline.errors import InvalidRequest, NotFound


class Statements:
    """Read-only, one short transaction per question. An account's id of None means all accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def held(self, account_id: str) -> int:
        """Micro-dollars reserved at this moment: for requests being answered and for jobs that have not ended."""
        sums = (
            select(func.coalesce(func.sum(column), 0)).where(owner == account_id)
            for column, owner in (
                (col(OpenHold.held), col(OpenHold.account_id)),
                (col(Job.held_micro), col(Job.account_id)),
            )
        )
        with self._database.read() as session:
            return sum(int(session.execute(one).scalar_one()) for one in sums)

    def receipts(
        self, wanted: Wanted, *, subject: str | None = None, limit: int = 20, after: str | None = None
    ) -> tuple[list[Receipt], bool]:
        """A page, the newest first, and whether there is more; `subject` is a job's or a request's id.

        Raises InvalidRequest for an unknown cursor.
        """
        newest = (col(Receipt.created_at).desc(), col(Receipt.id).desc())
        query = narrowed(select(Receipt), wanted).order_by(*newest).limit(limit + 1)
        if subject is not None:
            query = query.where(col(Receipt.subject) == subject)
        with self._database.read() as session:
            if after is not None:
                query = query.where(_older(session, wanted.account_id, after))
            rows = list(session.scalars(query))
        return rows[:limit], len(rows) > limit

    def entries(
        self,
        account_id: str | None,
        *,
        subject: str | None = None,
        kind: str | None = None,
        limit: int = 20,
        after: int | None = None,
    ) -> tuple[list[LedgerEntry], bool]:
        """A page of the ledger, the newest first, and whether there is more. `after` is the last id already known."""
        query = select(LedgerEntry).order_by(col(LedgerEntry.id).desc()).limit(limit + 1)
        query = _equal(query, account_id=account_id, subject=subject, kind=kind)
        if after is not None:
            query = query.where(col(LedgerEntry.id) < after)
        with self._database.read() as session:
            rows = list(session.scalars(query))
        return rows[:limit], len(rows) > limit


def _equal(query: Select[Any], **wanted: str | None) -> Select[Any]:
    given = {name: value for name, value in wanted.items() if value is not None}
    return query.where(*(getattr(LedgerEntry, name) == value for name, value in given.items()))


def _own(session: Session, account_id: str | None, receipt_id: str) -> Receipt:
    found = session.get(Receipt, receipt_id)
    if found is None or account_id not in (None, found.account_id):
        raise NotFound("No such receipt.")
    return found


def _older(session: Session, account_id: str | None, cursor: str) -> Any:
    try:
        last = _own(session, account_id, cursor)
    except NotFound as error:
        raise InvalidRequest(f"No such receipt: after={cursor[:60]}", param="after") from error
    return tuple_(col(Receipt.created_at), col(Receipt.id)) < (last.created_at, last.id)
