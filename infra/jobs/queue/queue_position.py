"""Where in the queue a job stands, by the counters that the moves themselves keep: read, never recounted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.shares import Lane, Share, WaitingWork
from infra.jobs.transitions import Store
from infra.keys.tiers import LOW, WEIGHTS
from pipeline.lifecycle import JobStatus

LOOK_SECONDS = (
    10.0  # between two looks at the speed; after a longer pause, or one without work, the next look begins anew
)
MEMORY_SECONDS = 60.0  # of the speed
ARCHIVE = "archive"

_LIVE = (JobStatus.QUEUED, JobStatus.PROCESSING)
_LOW = text("waiting_work.rank >= 10")  # as the partial index says it


@dataclass(frozen=True)
class QueuePlace:
    """`ahead_ms` of sound, in pieces of work that wait now, will be begun before the job's next piece; None: not counted.

    `lane` is the role whose workers it waits for, or ARCHIVE: it waits until they have nothing else to do.

    `eta` in epoch seconds: when that will be, at the speed of the last minute; None while nothing is known of it.
    """

    lane: str
    ahead_ms: int | None = None
    eta: float | None = None


@dataclass(frozen=True)
class Backlog:
    """What one account has waiting for a role's workers."""

    start: float
    waiting_ms: int
    weight: int


class QueuePositions(Store):
    """places, measure_speed."""

    def places(self, account_id: str, jobs: Sequence[Job]) -> dict[str, QueuePlace]:
        """Those of one account's jobs that have work waiting, by id."""
        if not any(job.status in _LIVE for job in jobs):
            return {}
        wanted, found = {job.id for job in jobs}, dict[str, QueuePlace]()
        with self._database.read() as session:
            time = read_clock(session)
            for role, speed in session.execute(
                select(col(Lane.role), col(Lane.ms_per_second)).order_by(col(Lane.role))
            ):
                for job_id, (lane, ahead) in _ahead(session, role, account_id, wanted - found.keys()).items():
                    found[job_id] = QueuePlace(lane, ahead, time + ahead / speed if speed else None)
        return found

    def measure_speed(self) -> None:
        """Note how much sound a second each role's workers took on since the last look, if work waited meanwhile."""
        with self._database.read() as session:
            seen = session.scalar(select(func.min(func.coalesce(col(Lane.looked_at), 0)))) or 0
            if read_clock(session) - seen < LOOK_SECONDS:
                return
        with self._database.write() as session:
            time = read_clock(session)
            for lane in session.scalars(select(Lane).order_by(col(Lane.role)).with_for_update(skip_locked=True)).all():
                _look(session, lane, time)


def ahead_of(mine: Backlog, own_ms: int, others: Sequence[Backlog], latest: float) -> int:
    """What is served before a piece with `own_ms` of its own account before it, in ms of sound.

    Each other account is served until its virtual time, too, has come to where that piece starts. `latest` is the latest start
    of anything claimed: nobody's next piece starts before it but the first of each.
    """
    starts = max(mine.start, latest) + own_ms / mine.weight if own_ms else mine.start
    return own_ms + sum(_until(other, starts, latest) for other in others)


def _until(other: Backlog, starts: float, latest: float) -> int:
    if other.start > starts:
        return 0
    return min(other.waiting_ms, max(0, round((starts - max(other.start, min(latest, starts))) * other.weight)))


def _ahead(session: Session, role: str, account_id: str, wanted: set[str]) -> dict[str, tuple[str, int]]:
    """The lane of each, and what is served before it: of an archive all that waits in the other lane, too."""
    own = _own(session, role, account_id, wanted)
    if not own:
        return {}
    normal, archive = _backlogs(session, role, archive=False), _backlogs(session, role, archive=True)
    others_normal = sum(one.waiting_ms for account, one in normal.items() if account != account_id)
    lanes = {is_archive for _, is_archive in own.values()}
    latest = {lane: session.scalar(_latest(role, archive=lane)) or 0.0 for lane in lanes}
    found = {}
    for job_id, (own_ms, is_archive) in own.items():
        accounts = dict(archive if is_archive else normal)
        mine = accounts.pop(account_id, Backlog(latest[is_archive], 0, 1))
        ahead = ahead_of(mine, own_ms, list(accounts.values()), latest[is_archive])
        found[job_id] = (ARCHIVE, ahead + others_normal) if is_archive else (role, ahead)
    return found


def _latest(role: str, *, archive: bool) -> Select[float | None]:
    served = col(Share.low_served) if archive else col(Share.served)
    return select(func.max(served)).where(col(Share.role) == role)


def _backlogs(session: Session, role: str, *, archive: bool) -> dict[str, Backlog]:
    """What waits of each account in one lane: all of it is counted as it moves, and of that the archive's part is summed."""
    low = select(col(WaitingWork.account_id), func.sum(col(WaitingWork.cost_ms)))
    low = low.where(col(WaitingWork.role) == role, _LOW).group_by(col(WaitingWork.account_id))
    lows = {account: int(ms) for account, ms in session.execute(low)}
    columns = (col(Share.account_id), col(Share.low_start) if archive else col(Share.start))
    waiting = col(Share.waiting_ms) + col(Share.slow_ms)
    backlogged = (
        select(*columns, waiting, col(Account.tier))
        .join(Account, col(Account.id) == col(Share.account_id))
        .where(col(Share.role) == role, col(Share.pieces) + col(Share.slow_pieces) > 0)
    )
    found = {}
    for account, start, ms, tier in session.execute(backlogged):
        mine = lows.get(account, 0) if archive else ms - lows.get(account, 0)
        if mine > 0:
            found[account] = Backlog(start, mine, WEIGHTS.get(tier, 1))
    return found


def _own(session: Session, role: str, account_id: str, wanted: set[str]) -> dict[str, tuple[int, bool]]:
    """What of the account's own work comes before each wanted job's next piece, as the shortest goes first; and whether that
    piece is in the archive lane."""
    order = (col(WaitingWork.rank), col(WaitingWork.size_ms), col(WaitingWork.since), col(WaitingWork.job_id))
    grouped = (
        select(*order, func.sum(col(WaitingWork.cost_ms)))
        .where(col(WaitingWork.role) == role, col(WaitingWork.account_id) == account_id)
        .group_by(*order)
        .order_by(*order)
    )
    before, found = 0, dict[str, tuple[int, bool]]()
    for rank, *_, job_id, cost in session.execute(grouped):
        if job_id in wanted:
            found.setdefault(job_id, (before, rank >= -LOW))
        before += int(cost)
    return found


def _look(session: Session, lane: Lane, time: float) -> None:
    passed = None if lane.looked_at is None else time - lane.looked_at
    if passed is not None and passed < LOOK_SECONDS:
        return
    sums = select(func.sum(col(Share.served_ms)), func.sum(col(Share.pieces) + col(Share.slow_pieces)))
    served, waiting = (int(value or 0) for value in session.execute(sums.where(col(Share.role) == lane.role)).one())
    if passed is not None and passed < 2 * LOOK_SECONDS and served > lane.served_ms and waiting:
        speed, weight = (served - lane.served_ms) / passed, min(1.0, passed / MEMORY_SECONDS)
        lane.ms_per_second = speed if lane.ms_per_second is None else lane.ms_per_second * (1 - weight) + speed * weight
    lane.looked_at, lane.served_ms = time, served
