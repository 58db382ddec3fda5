"""What an account has of what it may have only so much of: counted, compared and refused in the transaction that changes it.

Whatever is limited is refused by `refusal`, in the same words and under the limit's own name. Stored bytes and results are
counters in the account's row, which is always the last one a transaction locks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.session import run_beside
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookEndpoint
from infra.keys.tiers import Limits, limits_of
from pipeline.errors import BeyondLimit, LimitExceeded
from pipeline.lifecycle import LIVE

_OPERATOR = "The operator of this server can raise the limit."
_ROOM = "Delete jobs and files that are no longer needed, ask for shorter `retention_seconds`, or wait until their time is over."
_WORDS = {
    "concurrent_jobs": ("live jobs", "Wait for one to end, or cancel one."),
    "connections": ("open connections", "Close one, or use one for several requests."),
    "webhook_endpoints": ("webhook endpoints", "Delete one that is no longer needed."),
    "stored_bytes": ("bytes stored", _ROOM),
    "stored_results": ("jobs whose results are kept", _ROOM),
}


@dataclass(frozen=True)
class Standing:
    """How much of a limit is used. `limit` None: there is none; `used` None: not counted in the database."""

    used: float | None
    limit: int | None


def refusal(name: str, *, used: int, limit: int, more: int = 1, **details: Any) -> LimitExceeded:
    """The error for `more` of what `name` limits, where `used` of `limit` are used."""
    what, advice = _WORDS[name]
    if more > limit:
        told = f"This takes {more} {what}, and the account may have {limit} in all. {_OPERATOR}"
        return BeyondLimit(told, param=name, used=used, limit=limit)
    room = "" if more == 1 else f", which leaves no room for {more} more"
    told = f"The account has {used} {what} and may have {limit}{room}. {advice}"
    return LimitExceeded(told, param=name, used=used, limit=limit, **details)


def want_room(session: Session, account_id: str, name: str, used: Select[Any], **details: Any) -> None:
    """Room for one more of what `used` selects. Whoever counts at the same time waits for us. Raises LimitExceeded."""
    limit = getattr(_locked(session, account_id)[0], name)
    if limit is None:
        return
    counted = len(session.scalars(used.limit(limit)).all())
    if counted >= limit:
        raise refusal(name, used=counted, limit=limit, **details)


def take_stored(session: Session, account_id: str, most: int, *, at_least: int | None = None) -> int:
    """Count so many bytes more as stored, or as many as there is room for; how many. Raises LimitExceeded below `at_least`,
    which is all of them where it is not given."""
    least = most if at_least is None else at_least
    if not most:
        return 0
    limits, used, _ = _locked(session, account_id)
    room = most if limits.stored_bytes is None else max(0, limits.stored_bytes - used)
    if limits.stored_bytes is not None and least > room:
        raise refusal("stored_bytes", used=used, limit=limits.stored_bytes, more=least)
    took = min(most, room)
    change_stored(session, account_id, took)
    return took


def take_result(session: Session, account_id: str) -> None:
    """Count one more job whose results are kept. Raises LimitExceeded."""
    limits, _, used = _locked(session, account_id)
    if limits.stored_results is not None and used >= limits.stored_results:
        raise refusal("stored_results", used=used, limit=limits.stored_results)
    change_stored(session, account_id, 0, results=1)


def change_stored(session: Session, account_id: str, size: int, *, results: int = 0) -> None:
    """Count so much more, or (below 0) less, whatever the limit."""
    if size or results:
        run_beside(session, _CHANGE, {"account": account_id, "more": size, "results": results})


def live_jobs(account_id: str) -> Select[Any]:
    """The ids of an account's jobs that have not ended, those of batches apart: of them few run at a time anyway."""
    mine = (col(Job.account_id) == account_id, col(Job.batch_id).is_(None))
    return select(col(Job.id)).where(*mine, col(Job.status).in_(LIVE))


def endpoints_of(account_id: str) -> Select[Any]:
    """The ids of an account's webhook endpoints; who only follows the event stream is none."""
    made = col(WebhookEndpoint.status) != "listening"
    return select(col(WebhookEndpoint.id)).where(col(WebhookEndpoint.account_id) == account_id, made)


def standings(session: Session, account_id: str) -> dict[str, Standing]:
    """Of every limit that is kept in the database, by its name."""
    limits, stored_bytes, stored_results = _read(session, _OF_ACCOUNT, account_id)
    return {
        "concurrent_jobs": Standing(_count(session, live_jobs(account_id)), limits.concurrent_jobs),
        "connections": Standing(None, limits.connections),
        "webhook_endpoints": Standing(_count(session, endpoints_of(account_id)), limits.webhook_endpoints),
        "stored_bytes": Standing(stored_bytes, limits.stored_bytes),
        "stored_results": Standing(stored_results, limits.stored_results),
    }


def recounted(session: Session, account_id: str) -> tuple[int, int]:
    """(bytes, results) as the rows say that count them."""
    media = _sum(session, col(Media.counted), col(Media.account_id) == account_id)
    jobs = _sum(session, col(Job.stored_bytes), col(Job.account_id) == account_id)
    kept = select(col(Job.id)).where(col(Job.account_id) == account_id, col(Job.kept))
    return media + jobs, _count(session, kept)


def correct(session: Session, account_id: str) -> tuple[int, int]:
    """Make the counters what the rows say; (bytes, results) by which they were wrong."""
    _, stored_bytes, stored_results = _locked(session, account_id)
    true_bytes, true_results = recounted(session, account_id)
    wrong = (stored_bytes - true_bytes, stored_results - true_results)
    change_stored(session, account_id, -wrong[0], results=-wrong[1])
    return wrong


def _locked(session: Session, account_id: str) -> tuple[Limits, int, int]:
    """(limits, stored bytes, stored results), ours until the transaction ends."""
    return _read(session, _LOCKED, account_id)


def _read(session: Session, row: Select[Any], account_id: str) -> tuple[Limits, int, int]:
    found = run_beside(session, row, {"account": account_id}).one()
    return limits_of(found.tier, found.limits), found.stored_bytes, found.stored_results


def _count(session: Session, rows: Select[Any]) -> int:
    return int(session.execute(select(func.count()).select_from(rows.subquery())).scalar_one())


def _sum(session: Session, column: Any, where: ColumnElement[bool]) -> int:
    return int(session.execute(select(func.coalesce(func.sum(column), 0)).where(where)).scalar_one())


# Built once: every upload and every job asks.
_OF_ACCOUNT = select(
    col(Account.tier), col(Account.limits), col(Account.stored_bytes), col(Account.stored_results)
).where(col(Account.id) == bindparam("account"))
# Those who have merely inserted rows that refer to the account do not make us wait.
_LOCKED = _OF_ACCOUNT.with_for_update(key_share=True)
_CHANGE = (
    update(Account)
    .where(col(Account.id) == bindparam("account"))
    .values(
        stored_bytes=col(Account.stored_bytes) + bindparam("more"),
        stored_results=col(Account.stored_results) + bindparam("results"),
    )
)
