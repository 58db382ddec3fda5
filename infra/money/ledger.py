"""Money: integer micro-dollars in rows that are only ever added, and a balance that can never be spent twice.

Every change of a balance is one conditional UPDATE in the transaction that adds its row, so that the sum of an account's
deltas is its balance at every moment. (subject, kind, part) is unique: what is repeated happens once.

    kind      delta            amount
    top_up    +amount          what came in
    adjust    +amount          an administrator's correction, either way
    hold      -amount          set aside for a request or a job, before anything is spent on it
    capture   0                what of the hold is spent; a negative one takes captures of failed work back
    release   +amount          the rest of the hold, given back
    opening   +amount          what old entries of settled work sum up to (infra/housekeeping/ledger_compaction.py)

So for whatever is settled: all holds = all captures + all releases. The account's row is always the last one a transaction
locks, and it is locked for as short as can be. On SQLite a request's hold and its settlement do not wait for the disk: after
a power cut the last moment's requests may not have been billed, and none is billed by half.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col

from infra.audit.audit_log import Act, record
from infra.database.clock import now
from infra.database.ids import new_id
from infra.database.session import Database, Transaction, dialect_of, run
from infra.database.tables.accounts import Account
from infra.database.tables.money import LedgerEntry, OpenHold
from infra.money.receipts import NewReceipt, Settled, first_receipt, write_receipt
from infra.money.reconciliation import imbalances
from pipeline.errors import InsufficientBalance, InvalidRequest, NotFound
from pipeline.money import usd_text

log = logging.getLogger(__name__)

TOP_UP, ADJUST, HOLD, CAPTURE, RELEASE, OPENING = "top_up", "adjust", "hold", "capture", "release", "opening"
SIGN = {TOP_UP: 1, ADJUST: 1, HOLD: -1, CAPTURE: 0, RELEASE: 1}  # what an amount does to the balance
_ACTS: dict[str, Act] = {TOP_UP: "balance.top_up", ADJUST: "balance.adjust"}
DEAD_SECONDS = 900.0  # a request that is not settled after so long has died with its process
Within = Callable[[Transaction], None]  # something of somebody else's that belongs into the same transaction
Pricing = Callable[[Transaction], int]  # micro-dollars


class Ledger:
    """What an account's money does. Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.differences: int | None = None  # what the last comparison in this process has found

    def top_up(self, account_id: str, micro: int, *, note: str = "", subject: str | None = None) -> int:
        """The balance afterwards. The same `subject` again adds nothing. Raises NotFound, InvalidRequest below 1."""
        if micro <= 0:
            raise InvalidRequest("A top-up must be more than 0.", param="amount")
        return self._book(account_id, TOP_UP, micro, note, subject)

    def adjust(self, account_id: str, micro: int, *, note: str = "", subject: str | None = None) -> int:
        """The balance afterwards, which never gets below 0. Raises NotFound, InsufficientBalance."""
        return self._book(account_id, ADJUST, micro, note, subject)

    def balance(self, account_id: str) -> int:
        """What can be spent. Raises NotFound."""
        with self._database.read() as session:
            return _balance(session, account_id)

    def entries(self, account_id: str, limit: int = 100, after: int | None = None) -> list[LedgerEntry]:
        """The newest first; `after` is the id of the last one seen."""
        rows = select(LedgerEntry).where(col(LedgerEntry.account_id) == account_id)
        if after is not None:
            rows = rows.where(col(LedgerEntry.id) < after)
        with self._database.read() as session:
            return list(session.scalars(rows.order_by(col(LedgerEntry.id).desc()).limit(limit)))

    def hold(self, account_id: str, subject: str, price: int | Pricing, *, within: Within | None = None) -> int:
        """Set money aside for a request, and tell how much; the same `subject` again holds nothing more.

        A price that depends on what may change at any moment, the audio ratio, is asked for in the transaction. Raises
        InsufficientBalance.

        The subject must be an id of our own making: with one that a caller can choose, the next request would be free.
        `within` runs in the same transaction, before the balance is touched; what it raises undoes everything.
        """
        if price == 0 and within is None:
            return 0
        with self._database.raw_transaction() as session:
            micro = price if isinstance(price, int) else price(session)
            if micro > 0 and not add(session, account_id, subject, HOLD, micro):
                return micro
            if within is not None:
                within(session)
            if micro > 0:
                run(session, _OPEN, {"subject": subject, "account_id": account_id, "held": micro})
                spend(session, account_id, micro)
            return micro

    def extend(self, subject: str, micro: int) -> None:
        """Hold so much more. Raises InsufficientBalance, NotFound when nothing is held (any more)."""
        if micro <= 0:
            return
        with self._database.raw_transaction() as session:
            row = run(session, _EXTEND, {"name": subject, "more": micro}).one_or_none()
            if row is None:
                raise NotFound("Nothing is held for this request.")
            add(session, row.account_id, subject, HOLD, micro, part=row.parts - 1)
            spend(session, row.account_id, micro)

    def settle(self, subject: str, receipt: NewReceipt, *, within: Within | None = None) -> Settled:
        """Capture what the work has cost, release the rest, write the receipt. Again: the first receipt.

        It captures no more than is held and, where that is too little, what the balance has to add. Of a hold that the
        sweep has released as dead nothing is captured: the receipt says 0.
        """
        with self._database.raw_transaction() as session:
            if within is not None:
                within(session)
            row = run(session, _CLOSE, {"name": subject}).one_or_none()
            if row is None:
                return first_receipt(session, subject) or write_receipt(session, subject, receipt, 0)
            cost = _capture(session, subject, row, receipt.cost)
            return write_receipt(session, subject, receipt, cost)

    def release(self, subject: str, *, within: Within | None = None) -> None:
        """Give all of it back: failed work is free. No error where nothing is held."""
        with self._database.raw_transaction() as session:
            if within is not None:
                within(session)
            row = run(session, _CLOSE, {"name": subject}).one_or_none()
            if row is not None:
                _give_back(session, subject, row.account_id, row.held)

    def release_dead(self, older_than_seconds: float = DEAD_SECONDS, limit: int = 500) -> int:
        """Give back what dead processes held for requests; returns how many holds."""
        dead = select(col(OpenHold.subject)).where(col(OpenHold.opened_at) < now() - older_than_seconds)
        with self._database.read() as session:
            subjects = list(session.scalars(dead.order_by(col(OpenHold.opened_at)).limit(limit)))
        for subject in subjects:
            self.release(subject)
        return len(subjects)

    def check(self) -> list[str]:
        """Every way in which the books do not agree, as sentences; empty when they do."""
        with self._database.read() as session:
            return imbalances(session)

    def _book(self, account_id: str, kind: str, micro: int, note: str, subject: str | None) -> int:
        with self._database.write() as session:
            _balance(session, account_id)  # or an unknown account would be an error of the database's
            subject = subject or new_id(kind)
            new = add(session, account_id, subject, kind, micro, note=note or None)
            if new:
                booked = {"amount_usd": usd_text(micro)}
                record(session, _ACTS[kind], account_id=account_id, subject=subject, details=booked)
            if new and not _took(session, account_id, -micro):
                raise InsufficientBalance(
                    f"A correction never takes a balance below 0: {usd_text(-micro)} USD were to be taken away, and "
                    f"{usd_text(_balance(session, account_id))} USD are left. What is held by work under way is not among them."
                )
            return _balance(session, account_id)


# The same for those who bring a transaction of their own: jobs.


def add(
    session: Transaction,
    account_id: str,
    subject: str,
    kind: str,
    amount: int,
    *,
    part: int = 0,
    note: str | None = None,
) -> bool:
    """Add a row; False when it is there already, and nothing may happen again."""
    values = {
        "account_id": account_id,
        "subject": subject,
        "kind": kind,
        "delta": SIGN[kind] * amount,
        "amount": amount,
        "part": part,
        "note": note,
    }
    return run(session, _ADD[dialect_of(session)], values).rowcount > 0


def spend(session: Transaction, account_id: str, micro: int) -> None:
    """Take from the balance what is there, or (below 0) give back. Raises InsufficientBalance, NotFound."""
    if _took(session, account_id, micro):
        return
    left = _balance(session, account_id)
    raise InsufficientBalance(
        f"The balance does not cover this: it needs {usd_text(abs(micro))} USD, and {usd_text(left)} USD are left. Audio is "
        "pay-as-you-go whatever the account's plan, a subscription never covers it: top up the balance (on the "
        f"server: `stenopool accounts top-up {account_id} 10`)."
    )


def take_up_to(session: Transaction, account_id: str, micro: int, *, at_least: int = 0) -> int:
    """Take as much of `micro` as the balance has; returns how much. Raises InsufficientBalance when that is below `at_least`."""
    if _took(session, account_id, micro):
        return micro
    # Rows that refer to the account lock its key: two who have inserted some must not wait for each other.
    some = max(at_least, min(micro, int(run(session, _LOCKED, {"account": account_id}).scalar_one())))
    if some > 0:
        spend(session, account_id, some)
    return some


def give(session: Transaction, account_id: str, micro: int) -> None:
    """Give back to the balance."""
    spend(session, account_id, -micro)


def _balance(session: Transaction, account_id: str) -> int:
    found = run(session, _BALANCE, {"account": account_id}).scalar_one_or_none()
    if found is None:
        raise NotFound("No such account.")
    return int(found)


def _capture(session: Transaction, subject: str, hold: Any, cost: int) -> int:
    """What could be captured of `cost`."""
    held: int = hold.held
    if cost > held:
        more = take_up_to(session, hold.account_id, cost - held)
        if more:
            add(session, hold.account_id, subject, HOLD, more, part=hold.parts)
            held += more
        if held < cost:
            log.warning("%s costs %d micro-dollars, of which only %d could be captured", subject, cost, held)
    captured = min(cost, held)
    if captured:
        add(session, hold.account_id, subject, CAPTURE, captured)
    _give_back(session, subject, hold.account_id, held - captured)
    return captured


def _took(session: Transaction, account_id: str, micro: int) -> bool:
    return run(session, _TAKE, {"account": account_id, "micro": micro}).rowcount > 0


def _give_back(session: Transaction, subject: str, account_id: str, rest: int) -> None:
    if rest > 0:
        add(session, account_id, subject, RELEASE, rest)
        give(session, account_id, rest)


def _table(rows: type[SQLModel]) -> Table:
    """Statements over bare tables cost half of those over mapped classes."""
    return SQLModel.metadata.tables[str(rows.__tablename__)]


# Built once: the hot path of every synchronous request. To have rows returned would cost SQLite as much as changing them.
_ADD = {
    name: dialect.insert(_table(LedgerEntry))
    .values(at=now())
    .on_conflict_do_nothing()
    .execution_options(preserve_rowcount=True)
    for name, dialect in (("postgresql", postgresql), ("sqlite", sqlite))
}
_OPEN = insert(_table(OpenHold)).values(parts=1, opened_at=now())
_EXTEND = (
    update(_table(OpenHold))
    .where(col(OpenHold.subject) == bindparam("name"))
    .values(held=col(OpenHold.held) + bindparam("more"), parts=col(OpenHold.parts) + 1)
    .returning(col(OpenHold.account_id), col(OpenHold.parts))
    .execution_options(synchronize_session=False)
)
_CLOSE = (
    delete(_table(OpenHold))
    .where(col(OpenHold.subject) == bindparam("name"))
    .returning(col(OpenHold.account_id), col(OpenHold.held), col(OpenHold.parts))
    .execution_options(synchronize_session=False)
)
_BALANCE = select(col(Account.balance_micro)).where(col(Account.id) == bindparam("account"))
_LOCKED = _BALANCE.with_for_update(key_share=True)
_TAKE = (
    update(_table(Account))
    .where(col(Account.id) == bindparam("account"), col(Account.balance_micro) - bindparam("micro") >= 0)
    .values(balance_micro=col(Account.balance_micro) - bindparam("micro"))
    .execution_options(synchronize_session=False)
)
