"""How much slow work may be under way: downloads, preparations of long recordings, chunks in an engine's line.

It keeps its worker for long and cannot be interrupted, so it may never hold all workers of a role: one cpu process is left
for everything else, and half of the io threads, by which webhooks are delivered and providers are called. And one account's
downloads hold a quarter of the threads at most. Who is alive, and what is under way, is counted in the database.

A chunk is in line when all workers of a machine share its engine, and each has to wait for its turn there (Whisper): more of them
than the engine takes at once only wait. Preparations leave one process to them, besides the one for everything else, because a
preparation lasts minutes; where there are no three processes, one chunk may be in line all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, func, null, or_, select, true
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now
from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.shares import Lane
from infra.database.tables.workers import Worker
from pipeline.lifecycle import ChunkStatus

LONG_MS = 600_000  # of a recording whose preparation is slow work; the triggers of migration 0007 say the same
SEEN_SECONDS = 15.0  # since a living worker's last sign
IO = "io"


@dataclass(frozen=True)
class SlowRoom:
    """How much more slow work may begin, of jobs and of chunks in line, and which accounts have all the jobs that they may have."""

    jobs: int = 0
    chunks: int = 0
    full: frozenset[str] = frozenset()

    def is_open_to(self, account_id: str, *, chunk: bool) -> bool:
        """Whether this account may begin one more: a chunk in line, or a slow job."""
        return self.chunks > 0 if chunk else self.jobs > 0 and account_id not in self.full


NO_ROOM = SlowRoom()


@dataclass(frozen=True)
class Bounds:
    """How much slow work may be under way in all, how many jobs of it, and how many of one account."""

    in_all: int
    jobs: int
    each: int


def bounds(role: str, slots: int) -> Bounds:
    """With so many processes or threads."""
    if role == IO:
        return Bounds(half := max(1, slots // 2), half, max(1, slots // 4))
    return Bounds(max(1, slots - 1), jobs := max(1, slots - 2), jobs)


def slow_room(session: Session, role: str) -> SlowRoom:
    """By what is under way now."""
    most = bounds(role, _slots(session, role))
    held = select(col(Job.account_id), func.count()).where(_HELD, col(Job.queue) == role, _is_slow())
    by_account = dict(session.execute(held.group_by(col(Job.account_id))).all())
    jobs, chunks = sum(by_account.values()), _in_line(session, role)
    left = most.in_all - jobs - chunks
    full = frozenset(account for account, count in by_account.items() if count >= most.each)
    return SlowRoom(max(0, min(left, most.jobs - jobs)), max(0, left, 1 - chunks), full)


def lock_slow_work(session: Session, role: str) -> None:
    """One claim of slow work at a time, so that two of them cannot take the last place."""
    session.execute(select(col(Lane.role)).where(col(Lane.role) == role).with_for_update())


def _slots(session: Session, role: str) -> int:
    living = select(col(Worker.facts)).where(col(Worker.role) == role, col(Worker.seen_at) > now() - SEEN_SECONDS)
    return sum(int((facts or {}).get("slots", 1)) for facts in session.scalars(living))


def _is_slow() -> ColumnElement[bool]:
    long = and_(col(Job.cut_done) == false(), col(Job.task) != "speech", col(Job.size_ms) > LONG_MS)
    return or_(col(Job.source).is_not(null()), long)


def _in_line(session: Session, role: str) -> int:
    running = and_(col(Chunk.status) == ChunkStatus.RUNNING, col(Chunk.queue) == role, col(Chunk.in_line) == true())
    return session.execute(select(func.count()).select_from(Chunk).where(running)).scalar_one()


_HELD = col(Job.lease_token).is_not(None)
