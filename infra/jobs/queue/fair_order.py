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

Slow work (a download, the preparation of a long recording, a chunk in an engine's line) may keep its worker for long and cannot be
interrupted. It has the same order, but only so many pieces of each kind are under way at once: see `slow_work`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Double,
    Exists,
    Select,
    TextClause,
    Update,
    and_,
    bindparam,
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
from sqlalchemy.orm import Session, aliased
from sqlmodel import col

from infra.database.clock import now
from infra.database.session import run
from infra.database.tables.accounts import Account
from infra.database.tables.shares import Share, WaitingWork
from infra.jobs.queue.archive_lane import in_lane
from infra.jobs.queue.slow_work import SlowRoom, slow_room
from infra.keys.tiers import WEIGHTS

TO_THE_OLDEST = 4  # one turn in so many
ACCOUNTS = 16  # looked at in one claim, whose work others may be claiming this very moment

Key = tuple[str, int]


@dataclass(frozen=True)
class Due:
    """Whether any of a role's work is due `at` this moment, by the database's clock: quick work, and slow work that may have to
    wait for room, jobs and chunks.
    """

    at: float
    fast: bool
    slow_jobs: bool
    slow_chunks: bool

    @property
    def slow(self) -> bool:
        """Either of them."""
        return self.slow_jobs or self.slow_chunks

    @property
    def any(self) -> bool:
        """Of either speed."""
        return self.fast or self.slow

    def of(self, room: SlowRoom) -> SlowRoom:
        """The room for what is there: nobody looks for the others."""
        return replace(room, jobs=room.jobs if self.slow_jobs else 0, chunks=room.chunks if self.slow_chunks else 0)


class Kind(Enum):
    """Of what waits."""

    FAST = auto()
    SLOW_JOB = auto()
    SLOW_CHUNK = auto()


@dataclass(frozen=True)
class Piece:
    """What is to be claimed: a chunk, or with idx -1 a job."""

    job_id: str
    idx: int
    account_id: str
    slow: bool
    cost_ms: int
    archive: bool


def due_now(session: Session, role: str) -> Due:
    """A look that locks nothing."""
    return Due(*run(session, _DUE, {"of_role": role}).one())


def next_piece(session: Session, role: str, now: float, room: SlowRoom, passed: Collection[Key] = ()) -> Piece | None:
    """The one whose turn it is, without those in `passed`: its row is ours until the transaction ends, and is none that
    somebody else is claiming at this moment.
    """
    accounts = _accounts(session, role, now, room)
    for archive in (False, True):
        for account, turns, _, has_normal in sorted(accounts, key=attrgetter("low_start")) if archive else accounts:
            if not archive and not has_normal:
                break
            order = _OLDEST if turns % TO_THE_OLDEST == TO_THE_OLDEST - 1 else _SHORTEST
            found = [
                _first(session, (role, account, kind, archive), now, order, passed) for kind in _open(room, account)
            ]
            if rows := [row for row in found if row is not None]:
                row = min(rows, key=attrgetter(*order))
                return Piece(row.job_id, row.idx, account, row.slow, row.cost_ms, archive)
    return None


def _accounts(session: Session, role: str, now: float, room: SlowRoom) -> list[Any]:
    """Those with work that is due, first those that have some outside the archive lane, the least served first; and how many turns
    each has had."""
    values: dict[str, Any] = {"of_role": role, "at": now}
    if room.jobs:
        values["full"] = sorted(room.full)
    return list(run(session, _WITH_WORK[room.jobs > 0, room.chunks > 0], values))


def _open(room: SlowRoom, account_id: str) -> Iterator[Kind]:
    """What this account may begin."""
    yield Kind.FAST
    if room.is_open_to(account_id, chunk=False):
        yield Kind.SLOW_JOB
    if room.is_open_to(account_id, chunk=True):
        yield Kind.SLOW_CHUNK


def _first(
    session: Session, of: tuple[str, str, Kind, bool], now: float, order: tuple[str, ...], passed: Collection[Key]
) -> Any:
    role, account, kind, archive = of
    waiting = _FIRST[order, archive, kind]
    if passed:
        waiting = waiting.where(tuple_(col(WaitingWork.job_id), col(WaitingWork.idx)).not_in(list(passed)))
    return run(session, waiting, {"of_role": role, "of_account": account, "at": now}).one_or_none()


def claimable_now(session: Session, role: str, now: float, limit: int) -> int:
    """How many pieces could be claimed at this moment, up to `limit`; of the slow ones no more than there is room for."""
    room = slow_room(session, role)
    found = _due(session, role, now, limit, *_is(Kind.FAST))
    theirs = col(WaitingWork.account_id).not_in(room.full)
    found += _due(session, role, now, min(limit - found, room.jobs), *_is(Kind.SLOW_JOB), theirs)
    return found + _due(session, role, now, min(limit - found, room.chunks), *_is(Kind.SLOW_CHUNK))


def _due(session: Session, role: str, now: float, limit: int, *which: ColumnElement[bool] | TextClause) -> int:
    these = and_(col(WaitingWork.role) == role, col(WaitingWork.run_at) <= now, _BY["shortest"], *which)
    some = select(literal(1)).where(these).select_from(WaitingWork).limit(limit).subquery()
    return session.execute(select(func.count()).select_from(some)).scalar_one()


def charge(session: Session, role: str, piece: Piece) -> None:
    """Move the account's virtual time on by what it is about to be served. The last thing that a claim locks."""
    of_account = {"of_role": role, "of_account": piece.account_id}
    run(session, _CHARGE[piece.archive], of_account | {"cost": float(piece.cost_ms), "more": piece.cost_ms})


# Statements are built once: to build one takes many times as long as to run it.
# As the partial index says it: a bound number would not do.
_BACKLOGGED = text("shares.pieces + shares.slow_pieces > 0")
_BY = {"shortest": text("waiting_work.size_ms >= 0"), "oldest": text("waiting_work.since >= 0")}  # which index is meant
_IN_TURN = ("since", "job_id", "idx")
_SHORTEST = ("rank", "size_ms", *_IN_TURN)
_OLDEST = ("rank", *_IN_TURN)


def _is(kind: Kind) -> tuple[ColumnElement[bool] | TextClause, ...]:
    """What waits of it. The partial index of chunks in line is named in its own words."""
    slow = col(WaitingWork.slow) == (false() if kind is Kind.FAST else true())
    if kind is Kind.FAST:
        return (slow,)
    return slow, text(
        "waiting_work.slow AND waiting_work.idx >= 0" if kind is Kind.SLOW_CHUNK else "waiting_work.idx < 0"
    )


def _any_due(kind: Kind) -> Exists:
    return exists().where(
        col(WaitingWork.role) == bindparam("of_role"), *_is(kind), col(WaitingWork.run_at) <= now(), _BY["shortest"]
    )


def _with_work(*, jobs: bool, chunks: bool) -> Select[str, int, float, bool]:
    """The accounts that have some which is due; of slow jobs and chunks where they count, but no jobs of those that are full of
    them."""
    normal, archive = (_has_due(jobs=jobs, chunks=chunks, archive=archive) for archive in (False, True))
    columns = (col(Share.account_id), col(Share.turns), col(Share.low_start), normal.label("has_normal"))
    wanted = select(*columns).where(col(Share.role) == bindparam("of_role"), _BACKLOGGED, or_(normal, archive))
    start = case((normal, col(Share.start)), else_=col(Share.low_start))
    return wanted.order_by(case((normal, 0), else_=1), start, col(Share.account_id)).limit(ACCOUNTS)


def _has_due(*, jobs: bool, chunks: bool, archive: bool) -> ColumnElement[bool]:
    """Whether an account has work in this lane that could be claimed now."""
    role: BindParameter[str] = bindparam("of_role")
    at: BindParameter[float] = bindparam("at")
    theirs = and_(col(WaitingWork.role) == role, col(WaitingWork.account_id) == col(Share.account_id), _BY["shortest"])
    due = and_(theirs, in_lane(archive=archive), col(WaitingWork.run_at) <= at)
    found: list[ColumnElement[bool]] = [exists().where(due, *_is(Kind.FAST))]
    if jobs:
        waits = exists().where(due, *_is(Kind.SLOW_JOB))
        found.append(and_(waits, col(Share.account_id).not_in(bindparam("full", expanding=True))))
    if chunks:
        found.append(exists().where(due, *_is(Kind.SLOW_CHUNK)))
    return or_(*found)


def _first_by(order: tuple[str, ...], kind: Kind, *, archive: bool) -> Select[Any]:
    """Of one account's work of one kind in one lane, with all that its place in the order goes by."""
    waiting = select(*(getattr(WaitingWork, name) for name in (*order, "slow", "cost_ms"))).where(
        col(WaitingWork.role) == bindparam("of_role"),
        col(WaitingWork.account_id) == bindparam("of_account"),
        *_is(kind),
        in_lane(archive=archive),
        col(WaitingWork.run_at) <= bindparam("at"),
        _BY["oldest" if order == _OLDEST else "shortest"],
    )
    columns = (getattr(WaitingWork, name) for name in order)
    return waiting.order_by(*columns).limit(1).with_for_update(skip_locked=True)


def _charging(*, archive: bool) -> Update:
    role: BindParameter[str] = bindparam("of_role")
    cost: BindParameter[float] = bindparam("cost", type_=Double())
    start_of, served_of = ("low_start", "low_served") if archive else ("start", "served")
    others = aliased(Share)
    served = select(func.coalesce(func.max(getattr(others, served_of)), 0.0)).where(col(others.role) == role)
    latest, own = served.scalar_subquery(), getattr(Share, start_of)
    tier = select(col(Account.tier)).where(col(Account.id) == bindparam("of_account")).scalar_subquery()
    weight = case({name: float(weight) for name, weight in WEIGHTS.items()}, value=tier, else_=1.0)
    start = case((latest > own, latest), else_=own)
    return (
        update(Share)
        .where(col(Share.role) == role, col(Share.account_id) == bindparam("of_account"))
        .values(
            {
                start_of: start + cost / weight,
                served_of: start,
                "served_ms": col(Share.served_ms) + bindparam("more"),
                "turns": col(Share.turns) + 1,
            }
        )
    )


_BOTH = (False, True)
_DUE = select(now(), *(_any_due(kind) for kind in Kind))
_WITH_WORK = {(jobs, chunks): _with_work(jobs=jobs, chunks=chunks) for jobs in _BOTH for chunks in _BOTH}
_FIRST: dict[tuple[tuple[str, ...], bool, Kind], Select[Any]] = {
    (order, archive, kind): _first_by(order, kind, archive=archive)
    for order in (_SHORTEST, _OLDEST)
    for archive in _BOTH
    for kind in Kind
}
_CHARGE = {archive: _charging(archive=archive) for archive in (False, True)}
