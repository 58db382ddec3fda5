"""What an administrator books by hand: money in, and corrections. With a key of its own, a repeated booking counts once."""

from __future__ import annotations

import hashlib
from typing import Literal

from sqlalchemy import select
from sqlmodel import col

from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.money import LedgerEntry
from infra.money.ledger import Ledger
from pipeline.errors import IdempotencyConflict

Kind = Literal["top_up", "adjust"]


class Adjustments:
    """Top-ups and adjustments, each answered with its row of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ledger = Ledger(database)

    def book(
        self, kind: Kind, account_id: str, micro: int, *, note: str = "", key: str | None = None
    ) -> tuple[LedgerEntry, int, bool]:
        """(entry, balance afterwards, whether it was there already). `key` is the caller's Idempotency-Key.

        Raises NotFound, InsufficientBalance (a correction below 0), IdempotencyConflict for another amount or note.
        """
        subject = new_id("book") if key is None else _subject(kind, account_id, key)
        known = self._find(kind, account_id, subject) if key is not None else None
        if known is not None:
            return _same(known, micro, note), self._ledger.balance(account_id), True
        self._ledger.balance(account_id)  # an unknown account is told before anything is written
        booked = self._ledger.top_up if kind == "top_up" else self._ledger.adjust
        balance = booked(account_id, micro, note=note, subject=subject)
        entry = self._find(kind, account_id, subject)
        assert entry is not None, "rows of the ledger are never removed"
        return (
            _same(entry, micro, note),
            balance,
            False,
        )  # of two at the same moment one was second: it is compared, too

    def _find(self, kind: Kind, account_id: str, subject: str) -> LedgerEntry | None:
        rows = select(LedgerEntry).where(
            col(LedgerEntry.subject) == subject,
            col(LedgerEntry.kind) == kind,
            col(LedgerEntry.account_id) == account_id,
        )
        with self._database.read() as session:
            return session.scalars(rows).one_or_none()


def _subject(kind: Kind, account_id: str, key: str) -> str:
    """The key itself may hold anything, and its length is the caller's."""
    digest = hashlib.sha256("\0".join((kind, account_id, key)).encode(errors="replace")).hexdigest()
    return f"book_{digest[:40]}"


def _same(entry: LedgerEntry, micro: int, note: str) -> LedgerEntry:
    differs = "amount_usd" if entry.amount != micro else "note" if (entry.note or "") != note else None
    if differs is not None:
        raise IdempotencyConflict.with_earlier(str(entry.id), differs)
    return entry
