"""Old entries of the ledger become one: an opening entry, behind which holds, captures and releases of settled work are summed up.

Only whole stories go: a subject of which every entry is old, that is held for by nobody, whose job (if it was one) has no row any
more, and whose holds are its captures and releases. What came in and what an administrator corrected stays as it is, and so do
the receipts, which say what every request has cost. The sum of an account's deltas is its balance before and afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry, OpenHold
from infra.money.ledger import CAPTURE, HOLD, OPENING, RELEASE

PAGE = 2000  # entries that one transaction looks at
_OF_WORK = (HOLD, CAPTURE, RELEASE)
_OPEN = {HOLD: 1, CAPTURE: -1, RELEASE: -1}


@dataclass(frozen=True)
class Compacted:
    """`entries` became one. `after`: where the next page of the account begins; None: that was the last."""

    entries: int
    after: int | None


class LedgerCompaction:
    """accounts, compact."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accounts(self) -> list[str]:
        """All of them, by id."""
        with self._database.read() as session:
            return list(session.scalars(select(col(Account.id)).order_by(col(Account.id))))

    def compact(self, account_id: str, older_than_seconds: float, after: int = 0) -> Compacted:
        """Sum up a page of an account's old entries, in one transaction."""
        with self._database.write() as session:
            limit = read_clock(session) - older_than_seconds
            page = _page(session, account_id, limit, after)
            gone = _whole(session, page, limit)
            opening = _openings(session, account_id) if gone else []
            if gone:
                _replace(session, account_id, [*opening, *gone], limit)
            last = page[-1].id if len(page) == PAGE else None
        return Compacted(len(gone), last)


def _page(session: Session, account_id: str, limit: float, after: int) -> Sequence[LedgerEntry]:
    old = select(LedgerEntry).where(
        col(LedgerEntry.account_id) == account_id,
        col(LedgerEntry.kind).in_(_OF_WORK),
        col(LedgerEntry.at) < limit,
        col(LedgerEntry.id) > after,
    )
    return session.scalars(old.order_by(col(LedgerEntry.id)).limit(PAGE)).all()


def _whole(session: Session, page: Sequence[LedgerEntry], limit: float) -> list[LedgerEntry]:
    """Every entry of those subjects in the page whose story is over."""
    subjects = {entry.subject for entry in page}
    held = select(col(OpenHold.subject)).where(col(OpenHold.subject).in_(subjects))
    live = select(col(Job.id)).where(col(Job.id).in_(subjects))
    subjects -= {*session.scalars(held), *session.scalars(live)}
    entries = session.scalars(select(LedgerEntry).where(col(LedgerEntry.subject).in_(subjects))).all()
    stories = defaultdict[str, list[LedgerEntry]](list)
    for entry in entries:
        stories[entry.subject].append(entry)
    return [entry for story in stories.values() if _is_over(story, limit) for entry in story]


def _is_over(story: Sequence[LedgerEntry], limit: float) -> bool:
    of_work = all(entry.kind in _OF_WORK and entry.at < limit for entry in story)
    of_one = len({entry.account_id for entry in story}) == 1
    return of_work and of_one and sum(_OPEN[entry.kind] * entry.amount for entry in story) == 0


def _openings(session: Session, account_id: str) -> list[LedgerEntry]:
    before = (col(LedgerEntry.account_id) == account_id, col(LedgerEntry.kind) == OPENING)
    return list(session.scalars(select(LedgerEntry).where(*before)))


def _replace(session: Session, account_id: str, entries: Sequence[LedgerEntry], limit: float) -> None:
    """By one in the place of the latest of them."""
    total, last = sum(entry.delta for entry in entries), max(entry.id or 0 for entry in entries)
    session.execute(delete(LedgerEntry).where(col(LedgerEntry.id).in_([entry.id for entry in entries])))
    session.expunge_all()
    opening = LedgerEntry(
        id=last,
        account_id=account_id,
        subject=f"opening_{account_id}",
        kind=OPENING,
        part=0,
        delta=total,
        amount=total,
        at=limit,
        note="holds, captures and releases of settled work",
    )
    session.add(opening)
