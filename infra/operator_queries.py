"""What the operator of an installation sees of all accounts, their keys and their jobs. Callers of the API never get here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, func, literal, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.accounts import Account, ApiKey
from infra.database.tables.jobs import Chunk, Job
from pipeline.errors import InvalidRequest, NotFound

NAMES_AT_ONCE = 500
Row = TypeVar("Row", Account, ApiKey)


class OperatorQueries:
    """Read-only, one short transaction per question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def jobs(self, *, limit: int, **wanted: str | None) -> list[Job]:
        """The latest `limit` jobs that have the values `wanted`, where these are given: `status`, `account_id`, `task`, `model`,
        `client_reference_id`."""
        query = select(Job).order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)
        query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
        with self._database.read() as session:
            return list(session.scalars(query))

    def job(self, job_id: str) -> Job:
        """Raises NotFound."""
        with self._database.read() as session:
            found = session.get(Job, job_id)
        if found is None:
            raise NotFound(f"There is no job {job_id!r}.")
        return found

    def accounts(
        self, *, limit: int, after: str | None = None, tier: str | None = None, status: str | None = None
    ) -> tuple[list[Account], bool]:
        """A page of the accounts, the newest first, and whether there is more. Raises InvalidRequest for a wrong cursor."""
        query = select(Account)
        if tier is not None:
            query = query.where(col(Account.tier) == tier)
        if status is not None:
            query = query.where(col(Account.status) == status)
        with self._database.read() as session:
            return _page(session, Account, query, limit, after)

    def account_names(self, account_ids: Collection[str]) -> dict[str, str]:
        """What its operator calls each of these accounts; of an erased one nothing."""
        wanted, found = sorted(set(account_ids)), dict[str, str]()
        with self._database.read() as session:
            for at in range(0, len(wanted), NAMES_AT_ONCE):
                some = col(Account.id).in_(wanted[at : at + NAMES_AT_ONCE])
                found |= dict(session.execute(select(col(Account.id), col(Account.name)).where(some)).all())
        return found

    def keys(self, *, limit: int, after: str | None = None, account_id: str | None = None) -> tuple[list[ApiKey], bool]:
        """The same of the keys, of every account or of one."""
        query = select(ApiKey)
        if account_id is not None:
            query = query.where(col(ApiKey.account_id) == account_id)
        with self._database.read() as session:
            return _page(session, ApiKey, query, limit, after)

    def key(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        with self._database.read() as session:
            found = session.get(ApiKey, key_id)
        if found is None:
            raise NotFound("No such key.")
        return found

    def at_work(self, limit: int = 500) -> list[tuple[str, str, int]]:
        """(worker, job, chunk) of what is being done now; chunk -1: the job's own beginning or end."""
        jobs = select(col(Job.worker), col(Job.id), literal(-1)).where(col(Job.lease_token).is_not(None))
        chunks = select(col(Chunk.worker), col(Chunk.job_id), col(Chunk.idx)).where(col(Chunk.lease_token).is_not(None))
        with self._database.read() as session:
            rows = [*session.execute(jobs.limit(limit)), *session.execute(chunks.limit(limit))]
        return [(worker or "", job_id, int(idx)) for worker, job_id, idx in rows]

    def key_counts(self, account_ids: Sequence[str]) -> dict[str, int]:
        """How many keys each of these accounts has that are not revoked."""
        live = select(col(ApiKey.account_id), func.count()).where(
            col(ApiKey.account_id).in_(account_ids), col(ApiKey.revoked_at).is_(None)
        )
        with self._database.read() as session:
            found = {str(owner): int(count) for owner, count in session.execute(live.group_by(col(ApiKey.account_id)))}
        return {account_id: found.get(account_id, 0) for account_id in account_ids}


def _page(
    session: Session, kind: type[Row], query: Select[Any], limit: int, after: str | None
) -> tuple[list[Row], bool]:
    columns = (col(kind.created_at), col(kind.id))
    if after is not None:
        last = session.get(kind, after)
        if last is None:
            raise InvalidRequest(f"No such cursor: after={after[:60]}", param="after")
        query = query.where(tuple_(*columns) < (last.created_at, last.id))
    rows = list(session.scalars(query.order_by(*(column.desc() for column in columns)).limit(limit + 1)))
    return rows[:limit], len(rows) > limit
