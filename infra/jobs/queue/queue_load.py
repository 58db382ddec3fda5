"""How much there is, and how much of it waits: read from counters that the moves themselves keep, never counted over all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, select, text, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from infra.database.clock import now
from infra.database.session import dialect_of
from infra.database.tables.jobs import Chunk, JobCount, JobCountChange
from infra.database.tables.shares import Lane, Share, WaitingWork
from infra.jobs.queue.archive_lane import in_lane
from infra.jobs.queue.queue_position import ARCHIVE
from infra.jobs.transitions import LIVE_CHUNK, Store

_BACKLOGGED = text("pieces + slow_pieces > 0")  # as the partial indexes say it
_LOW = text("rank >= 10")


@dataclass(frozen=True)
class LaneLoad:
    """What waits in a lane, as the queue counts it: a chunk's own sound, a twentieth of a recording that is to be prepared.

    `oldest_seconds`: how long the oldest piece that is due has waited. `speed`: seconds of sound that the lane's workers have
    lately taken on a second, while work waited; None: not known, or of the archive, which has no workers of its own.
    """

    audio_seconds: float = 0.0
    oldest_seconds: float = 0.0
    speed: float | None = None


@dataclass(frozen=True)
class RoleBacklog:
    """What waits for the workers of one role, of the archive or of the rest: pieces of work, the sound in them in milliseconds, and
    how much of it a second they take on (None: not known)."""

    role: str
    is_archive: bool
    pieces: int
    waiting_ms: int
    ms_per_second: float | None = None


class QueueLoad(Store):
    """counts, backlogs, queue_load, fold_counts."""

    def counts(self) -> dict[str, Any]:
        """{"jobs": {status: n}, "chunks": {status: n} of live ones, "oldest_queued_seconds",
        "waiting": {role: pieces of work that wait to be claimed}}."""
        live = select(col(Chunk.status), func.count()).where(col(Chunk.status).in_(LIVE_CHUNK))
        pieces = select(col(Share.role), func.sum(col(Share.pieces) + col(Share.slow_pieces)))
        with self._database.read() as session:
            jobs = session.execute(_JOBS).all()
            chunks = session.execute(live.group_by(col(Chunk.status))).all()
            waiting = session.execute(pieces.where(_BACKLOGGED).group_by(col(Share.role))).all()
            oldest = _oldest(session)
        return {
            "jobs": {status: int(count) for status, count in jobs if count},
            "chunks": dict(chunks),
            "oldest_queued_seconds": max(oldest.values(), default=0.0),
            "waiting": {role: int(count) for role, count in waiting},
        }

    def backlogs(self) -> list[RoleBacklog]:
        """Of each role, and of its archive where something of that waits."""
        with self._database.read() as session:
            return list(_backlogs(session))

    def queue_load(self) -> dict[str, LaneLoad]:
        """By lane, as a job's `queue.lane` names them: the role whose workers it waits for, or the archive."""
        with self._database.read() as session:
            waiting, oldest = list(_backlogs(session)), _oldest(session)
        archived = sum(one.waiting_ms for one in waiting if one.is_archive)
        found = {ARCHIVE: LaneLoad(archived / 1000, oldest.get(ARCHIVE, 0.0))}
        for one in waiting:
            if not one.is_archive:
                speed = None if one.ms_per_second is None else one.ms_per_second / 1000
                found[one.role] = LaneLoad(one.waiting_ms / 1000, oldest.get(one.role, 0.0), speed)
        return found

    def fold_counts(self) -> None:
        """Add what PostgreSQL's triggers have noted of jobs' moves to the sums, so that there are few rows to read."""
        with self._database.write() as session:
            noted = delete(JobCountChange).returning(col(JobCountChange.status), col(JobCountChange.jobs))
            more = Counter[str]()
            for status, jobs in session.execute(noted):
                more[status] += jobs
            for status, jobs in sorted(more.items()):
                _add(session, status, jobs)


def _backlogs(session: Session) -> Iterator[RoleBacklog]:
    waits, pieces = col(Share.waiting_ms) + col(Share.slow_ms), col(Share.pieces) + col(Share.slow_pieces)
    every = select(col(Share.role), func.sum(pieces), func.sum(waits)).where(_BACKLOGGED).group_by(col(Share.role))
    low = select(col(WaitingWork.role), func.count(), func.sum(col(WaitingWork.cost_ms))).where(_LOW)
    speeds = select(col(Lane.role), col(Lane.ms_per_second)).order_by(col(Lane.role))
    of_all, archived = (
        {role: (int(count or 0), int(ms or 0)) for role, count, ms in session.execute(query)}
        for query in (every, low.group_by(col(WaitingWork.role)))
    )
    for role, speed in session.execute(speeds).all():
        (count, ms), (low_count, low_ms) = of_all.get(role, (0, 0)), archived.get(role, (0, 0))
        yield RoleBacklog(
            role,
            is_archive=False,
            pieces=max(0, count - low_count),
            waiting_ms=max(0, ms - low_ms),
            ms_per_second=speed,
        )
        if low_count:
            yield RoleBacklog(role, is_archive=True, pieces=low_count, waiting_ms=low_ms)


def _oldest(session: Session) -> dict[str, float]:
    """Of what waits and is due, by lane. As many rows are read as there are pieces of work waiting."""
    is_low = in_lane(archive=True).label("is_low")
    waited = select(col(WaitingWork.role), is_low, now() - func.min(col(WaitingWork.run_at)))
    found: dict[str, float] = {}
    for role, low, seconds in session.execute(waited.group_by(col(WaitingWork.role), is_low)):
        lane = ARCHIVE if low else role
        found[lane] = max(found.get(lane, 0.0), seconds)
    return found


def _counted() -> Select[Any]:
    both = union_all(*(select(col(table.status), col(table.jobs)) for table in (JobCount, JobCountChange))).subquery()
    return select(both.c.status, func.sum(both.c.jobs)).group_by(both.c.status)


def _add(session: Session, status: str, jobs: int) -> None:
    insert = sqlite.insert if dialect_of(session) == "sqlite" else postgresql.insert
    row = insert(SQLModel.metadata.tables[str(JobCount.__tablename__)]).values(status=status, jobs=jobs)
    session.execute(row.on_conflict_do_update(index_elements=["status"], set_={"jobs": JobCount.jobs + jobs}))


_JOBS = _counted()
