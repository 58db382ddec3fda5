"""Transactions that choose by what many rows say have to take turns, or two of them choose the same."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

DELIVERIES = 0x57E91  # any number, as long as nobody else's advisory lock in this database has it


def one_at_a_time(session: Session, lock: int) -> None:
    """Until this transaction ends no other one with the same `lock` goes on from here; it then sees what this one wrote.

    On SQLite a transaction that writes is alone anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(lock)))
