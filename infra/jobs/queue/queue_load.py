"""How much there is, and how much of it waits: read from counters that the moves themselves keep, never counted over all rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, select, text, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from infra.database.clock import now
from infra.database.session import dialect_of
from infra.database.tables import Chunk, JobCount, JobCountChange, Lane, Share, WaitingWork
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


class QueueLoad(Store):
    """counts, queue_load, fold_counts."""

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

    def queue_load(self) -> dict[str, LaneLoad]:
        """By lane, as a job's `queue.lane` names them: the role whose workers it waits for, or the archive."""
        sound = select(col(Share.role), func.sum(col(Share.waiting_ms) + col(Share.slow_ms)))
        low = select(col(WaitingWork.role), func.sum(col(WaitingWork.cost_ms))).where(_LOW)
        with self._database.read() as session:
            speeds = dict(session.execute(select(col(Lane.role), col(Lane.ms_per_second))).all())
            waiting = dict(session.execute(sound.where(_BACKLOGGED).group_by(col(Share.role))).all())
            archived = dict(session.execute(low.group_by(col(WaitingWork.role))).all())
            oldest = _oldest(session)
        found = {ARCHIVE: LaneLoad(sum(map(float, archived.values())) / 1000, oldest.get(ARCHIVE, 0.0))}
        for role, speed in sorted(speeds.items()):
            ms = max(0.0, float(waiting.get(role) or 0) - float(archived.get(role) or 0))
            found[role] = LaneLoad(ms / 1000, oldest.get(role, 0.0), None if speed is None else speed / 1000)
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
