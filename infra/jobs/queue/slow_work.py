"""How much slow work may be under way: downloads, and preparations of long recordings.

It keeps its worker for minutes and cannot be interrupted, so it may never hold all workers of a role: one cpu process is left
for everything else, and half of the io threads, by which webhooks are delivered and providers are called. And one account's
downloads hold a quarter of the threads at most. Who is alive, and what is under way, is counted in the database.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, func, null, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now
from infra.database.tables import Job, Lane, Worker

LONG_MS = 600_000  # of a recording whose preparation is slow work; the triggers of migration 0007 say the same
SEEN_SECONDS = 15.0  # since a living worker's last sign
IO = "io"


@dataclass(frozen=True)
class SlowRoom:
    """How much more slow work may begin, and which accounts have all of it that they may have."""

    places: int
    full: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether anybody may begin more of it."""
        return self.places > 0

    def is_open_to(self, account_id: str) -> bool:
        """Whether this account may begin more of it."""
        return self.is_open and account_id not in self.full


NO_ROOM = SlowRoom(0)


def bounds(role: str, slots: int) -> tuple[int, int]:
    """How much of it may be under way with so many processes or threads: in all, and of one account."""
    if role == IO:
        return max(1, slots // 2), max(1, slots // 4)
    return max(1, slots - 1), max(1, slots - 1)


def slow_room(session: Session, role: str) -> SlowRoom:
    """By what is under way now."""
    in_all, each = bounds(role, _slots(session, role))
    held = select(col(Job.account_id), func.count()).where(_HELD, col(Job.queue) == role, _is_slow())
    by_account = dict(session.execute(held.group_by(col(Job.account_id))).all())
    full = frozenset(account for account, count in by_account.items() if count >= each)
    return SlowRoom(max(0, in_all - sum(by_account.values())), full)


def lock_slow_work(session: Session, role: str) -> None:
    """One claim of slow work at a time, so that two of them cannot take the last place."""
    session.execute(select(col(Lane.role)).where(col(Lane.role) == role).with_for_update())


def _slots(session: Session, role: str) -> int:
    living = select(col(Worker.facts)).where(col(Worker.role) == role, col(Worker.seen_at) > now() - SEEN_SECONDS)
    return sum(int((facts or {}).get("slots", 1)) for facts in session.scalars(living))


def _is_slow() -> ColumnElement[bool]:
    long = and_(col(Job.cut_done) == false(), col(Job.task) != "speech", col(Job.size_ms) > LONG_MS)
    return or_(col(Job.source).is_not(null()), long)


_HELD = col(Job.lease_token).is_not(None)
