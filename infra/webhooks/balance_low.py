"""The event that an account's balance is low: once when what it has falls below its threshold, and again only after it was above.

What is held counts among what it has: work under way takes and gives back, and nobody wants to be told of that.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.money import OpenHold
from infra.keys.accounts import CLOSED
from infra.money.job_money import CURRENCY
from infra.webhooks.outbox import BALANCE_LOW, LISTENING, endpoint_message, subscribers
from pipeline.errors import NotFound
from pipeline.lifecycle import LIVE
from pipeline.money import usd


class BalanceAlerts:
    """Each method is one short transaction; `announce` one for each account that is concerned."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def threshold(self, account_id: str) -> int | None:
        """Micro-dollars; None: it wants not to be told. Raises NotFound."""
        with self._database.read() as session:
            return _account(session, account_id).balance_low_micro

    def set_threshold(self, account_id: str, micro: int | None) -> None:
        """Tell the account when it has less than that, at once if it has. Raises NotFound."""
        with self._database.write() as session:
            account = _account(session, account_id, lock=True)
            account.balance_low_micro, account.balance_low_told = micro, False

    def announce(self) -> list[str]:
        """Tell those that have fallen below their threshold, and look out again for those that are above; ids of the former."""
        low = col(Account.balance_micro) < col(Account.balance_low_micro)
        watched = (col(Account.balance_low_micro).is_not(None), col(Account.status) != CLOSED)
        concerned = select(col(Account.id)).where(*watched, or_(low, col(Account.balance_low_told)))
        with self._database.read() as session:
            accounts = list(session.scalars(concerned.order_by(col(Account.id))))
            told = [account_id for account_id in accounts if _has_changed(session, account_id)]
        return [account_id for account_id in told if self._look(account_id)]

    def _look(self, account_id: str) -> bool:
        """Whether it was told."""
        with self._database.write() as session:
            account = _account(session, account_id, lock=True)
            if not _has_changed(session, account_id):
                return False
            if account.balance_low_told:
                account.balance_low_told = False
                return False
            account.balance_low_told = _tell(session, account)
            return account.balance_low_told


def _account(session: Session, account_id: str, *, lock: bool = False) -> Account:
    found = session.get(Account, account_id, with_for_update=lock or None)
    if found is None:
        raise NotFound("No such account.")
    return found


def _has_changed(session: Session, account_id: str) -> bool:
    """Whether it has fallen below and was not told, or was told and is above."""
    account = _account(session, account_id)
    if account.balance_low_micro is None:
        return False
    is_low = account.balance_micro + _held(session, account_id) < account.balance_low_micro
    return is_low != account.balance_low_told


def _held(session: Session, account_id: str) -> int:
    requests = select(func.coalesce(func.sum(OpenHold.held), 0)).where(col(OpenHold.account_id) == account_id)
    jobs = select(func.coalesce(func.sum(Job.held_micro), 0)).where(
        col(Job.account_id) == account_id, col(Job.status).in_(LIVE)
    )
    return sum(int(session.execute(one).scalar_one()) for one in (requests, jobs))


def _tell(session: Session, account: Account) -> bool:
    """Whether anybody wants to know."""
    now, data = read_clock(session), _facts(session, account)
    wanting = subscribers(session, account.id, BALANCE_LOW)
    session.add_all(endpoint_message(endpoint, BALANCE_LOW, now, data) for endpoint in wanting)
    return any(endpoint.status != LISTENING for endpoint in wanting)


def _facts(session: Session, account: Account) -> dict[str, Any]:
    """As GET /v1/balance shows it."""
    held = _held(session, account.id)
    return {
        "object": "balance",
        "account_id": account.id,
        "currency": CURRENCY,
        "available": usd(account.balance_micro),
        "held": usd(held),
        "total": usd(account.balance_micro + held),
        "low_threshold": usd(account.balance_low_micro or 0),
    }
