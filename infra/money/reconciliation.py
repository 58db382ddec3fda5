"""The nightly comparison: do the balances, the ledger, the open holds and the jobs tell one story?"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import case, func, literal, select, text, union_all
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry, OpenHold

MOST = 100  # sentences of each kind


def imbalances(session: Session) -> list[str]:
    """One sentence for each difference. Each of the two questions is one statement, and so one consistent look."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL statement_timeout = 0"))  # it reads everything there is
    return [*_balances(session), *_holds(session)]


def _balances(session: Session) -> Iterator[str]:
    """The sum of an account's deltas is its balance, and no balance is below 0."""
    sums = (
        select(col(LedgerEntry.account_id).label("account"), func.sum(LedgerEntry.delta).label("total"))
        .group_by(col(LedgerEntry.account_id))
        .subquery()
    )
    total = func.coalesce(sums.c.total, 0)
    rows = (
        select(col(Account.id), col(Account.balance_micro), total)
        .outerjoin(sums, sums.c.account == col(Account.id))
        .where((col(Account.balance_micro) != total) | (col(Account.balance_micro) < 0))
        .limit(MOST)
    )
    for account, balance, booked in session.execute(rows):
        yield f"account {account}: the balance is {balance}, its ledger says {booked}"


def _holds(session: Session) -> Iterator[str]:
    """What is held and neither captured nor released is what the open holds and the live jobs say."""
    booked = select(
        col(LedgerEntry.subject).label("subject"),
        case((col(LedgerEntry.kind) == "hold", col(LedgerEntry.amount)), else_=-col(LedgerEntry.amount)).label("micro"),
    ).where(col(LedgerEntry.kind).in_(("hold", "capture", "release")))
    requests = select(col(OpenHold.subject), -col(OpenHold.held))
    jobs = select(col(Job.id), -col(Job.held_micro)).where(col(Job.held_micro) != 0)
    every = union_all(booked, requests, jobs).subquery()
    total = func.sum(every.c.micro)
    rows = select(every.c.subject, total).group_by(every.c.subject).having(total != literal(0)).limit(MOST)
    for subject, difference in session.execute(rows):
        yield f"{subject}: held, captured and released differ by {difference} from what is open"
