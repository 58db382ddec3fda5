"""Which waiting piece of work is next: start-time fair queueing between accounts, short work first within one.

Between accounts (Goyal, Vin, Cheng: Start-time Fair Queueing, 1996). Every account has a virtual time in each role, at which
its next piece starts; the least one is next. A piece that is claimed starts at S = max(the account's own time, the role's
virtual time V) and moves the account's time to S + cost / weight. V is the latest start of anything claimed so far. So

* accounts with work waiting are served in proportion to their weights, and are never further apart than one piece each;
* one that comes back, or comes for the first time, has its first piece next, and is lifted to V by it: what it did not use while
  it was away it has not saved up, and it waits for nobody's backlog;
* nothing need be known of the workers: how many there are, how fast, which of them die.

Cost is in milliseconds of sound: a chunk's own; for preparing, a twentieth of the recording and its first minute, which is often
heard with it; a flat sum for a download; little for stitching; one second more for each (migration 0007).

Before all that come the lanes: what is in the archive lane (see `archive_lane`) is next only when nobody has anything else that
could be claimed, and has virtual times of its own, so that what an account was given of the rest is held against none of its
other work.

Within an account, the higher priority first, and then three turns in four go to the shortest recording and the fourth to the
oldest. A short recording so waits for at most one piece of its owner's archive; and the archive, however many short ones come,
gets every fourth piece and ends: aging by turns and not by the clock, because in a long backlog everything is old.

Slow work (a download, the preparation of a long recording) may keep its worker for minutes and cannot be interrupted. It has the
same order, but only so many pieces of it are under way at once: see `slow_work`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.tables import Account, Share, WaitingWork
from infra.jobs.queue.archive_lane import in_lane
from infra.jobs.queue.slow_work import SlowRoom, slow_room
from infra.keys.tiers import WEIGHTS

TO_THE_OLDEST = 4  # one turn in so many
ACCOUNTS = 16  # looked at in one claim, whose work others may be claiming this very moment

Key = tuple[str, int]


@dataclass(frozen=True)
class Piece:
    """What is to be claimed: a chunk, or with idx -1 a job."""

    job_id: str
    idx: int
    account_id: str
    slow: bool
    cost_ms: int
    archive: bool


def next_piece(session: Session, role: str, now: float, room: SlowRoom, passed: Collection[Key] = ()) -> Piece | None:
    """The one whose turn it is, without those in `passed`: its row is ours until the transaction ends, and is none that
    somebody else is claiming at this moment.
    """
    accounts = session.execute(_accounts(role, now, room)).all()
    for archive in (False, True):
        for account, turns, _, has_normal in sorted(accounts, key=attrgetter("low_start")) if archive else accounts:
            if not archive and not has_normal:
                break
            oldest = turns % TO_THE_OLDEST == TO_THE_OLDEST - 1
            order = _OLDEST if oldest else _SHORTEST
            kinds = (False, True) if room.is_open_to(account) else (False,)
            found = [_first(session, (role, account, slow, archive), now, order, passed) for slow in kinds]
            if rows := [row for row in found if row is not None]:
                row = min(rows, key=attrgetter(*order))
                return Piece(row.job_id, row.idx, account, row.slow, row.cost_ms, archive)
    return None


def _accounts(role: str, now: float, room: SlowRoom) -> Select[str, int, float, bool]:
    """Those with work that is due: first those that have some outside the archive lane, the least served first."""
    normal, archive = (_has_due(role, now, room, archive=archive) for archive in (False, True))
    columns = (col(Share.account_id), col(Share.turns), col(Share.low_start), normal.label("has_normal"))
    wanted = select(*columns).where(col(Share.role) == role, _BACKLOGGED, or_(normal, archive))
    start = case((normal, col(Share.start)), else_=col(Share.low_start))
    return wanted.order_by(case((normal, 0), else_=1), start, col(Share.account_id)).limit(ACCOUNTS)


def _has_due(role: str, now: float, room: SlowRoom, *, archive: bool) -> ColumnElement[bool]:
    """Whether an account has work in this lane that could be claimed now."""
    theirs = and_(col(WaitingWork.role) == role, col(WaitingWork.account_id) == col(Share.account_id), _BY["shortest"])
    due = and_(theirs, in_lane(archive=archive), col(WaitingWork.run_at) <= now)
    fast = exists().where(due, ~col(WaitingWork.slow))
    slow = exists().where(due, col(WaitingWork.slow))
    return or_(fast, and_(slow, col(Share.account_id).not_in(room.full))) if room.is_open else fast


def _first(
    session: Session, of: tuple[str, str, bool, bool], now: float, order: tuple[str, ...], passed: Collection[Key]
) -> WaitingWork | None:
    role, account, slow, archive = of
    waiting = select(WaitingWork).where(
        col(WaitingWork.role) == role,
        col(WaitingWork.account_id) == account,
        col(WaitingWork.slow) == slow,
        in_lane(archive=archive),
        col(WaitingWork.run_at) <= now,
        _BY["oldest" if order == _OLDEST else "shortest"],
    )
    if passed:
        waiting = waiting.where(tuple_(col(WaitingWork.job_id), col(WaitingWork.idx)).not_in(list(passed)))
    columns = (getattr(WaitingWork, name) for name in order)
    return session.scalars(waiting.order_by(*columns).limit(1).with_for_update(skip_locked=True)).one_or_none()


def claimable_now(session: Session, role: str, now: float, limit: int) -> int:
    """How many pieces could be claimed at this moment, up to `limit`; of the slow ones no more than there is room for."""
    room = slow_room(session, role)
    fast = _due(session, role, now, limit, col(WaitingWork.slow) == false())
    theirs = col(WaitingWork.account_id).not_in(room.full)
    return fast + _due(session, role, now, min(limit - fast, room.places), col(WaitingWork.slow) == true(), theirs)


def _due(session: Session, role: str, now: float, limit: int, *which: ColumnElement[bool]) -> int:
    these = and_(col(WaitingWork.role) == role, col(WaitingWork.run_at) <= now, _BY["shortest"], *which)
    some = select(literal(1)).where(these).select_from(WaitingWork).limit(limit).subquery()
    return session.execute(select(func.count()).select_from(some)).scalar_one()


def charge(session: Session, role: str, piece: Piece) -> None:
    """Move the account's virtual time on by what it is about to be served. The last thing that a claim locks."""
    tier = session.scalar(select(col(Account.tier)).where(col(Account.id) == piece.account_id))
    start_of, served_of = _ARCHIVE_TIMES if piece.archive else _TIMES
    latest = session.scalar(select(func.max(served_of)).where(col(Share.role) == role)) or 0.0
    mine = (col(Share.role) == role, col(Share.account_id) == piece.account_id)
    start = max(latest, session.scalar(select(start_of).where(*mine).with_for_update()) or 0.0)
    moved = {start_of: start + piece.cost_ms / WEIGHTS.get(tier or "", 1), served_of: start}
    served = {"served_ms": col(Share.served_ms) + piece.cost_ms, "turns": col(Share.turns) + 1}
    moving = update(Share).where(*mine).values({**moved, **served})
    session.execute(moving.execution_options(synchronize_session=False))


_TIMES = (col(Share.start), col(Share.served))
_ARCHIVE_TIMES = (col(Share.low_start), col(Share.low_served))
# As the partial index says it: a bound number would not do.
_BACKLOGGED = text("shares.pieces + shares.slow_pieces > 0")
_BY = {"shortest": text("waiting_work.size_ms >= 0"), "oldest": text("waiting_work.since >= 0")}  # which index is meant
_IN_TURN = ("since", "job_id", "idx")
_SHORTEST = ("rank", "size_ms", *_IN_TURN)
_OLDEST = ("rank", *_IN_TURN)
