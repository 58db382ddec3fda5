"""Transcription minutes per day: exact, in the database, in the transaction that holds the money.

A request or a job takes the length of its sound before anything is spent on it, by one conditional UPDATE, and settles
with the length that was measured; work that failed settles with nothing. Minutes count on the UTC day on which they were
taken. All of it is counted in milliseconds.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from infra.database.clock import now, read_clock
from infra.database.days import DAY_SECONDS
from infra.database.session import Database, Transaction, dialect_of, run
from infra.database.tables.accounts import Account
from infra.database.tables.money import DailyUsage, OpenMinutes
from infra.keys.account_limits import Standing, correct, standings
from infra.keys.tiers import limits_of
from pipeline.errors import BeyondLimit, NotFound, QuotaExceeded

KIND = "transcription_ms"
LIMIT = "transcription_minutes_per_day"
ESTIMATE_KIND, ESTIMATE_LIMIT = "estimate_ms", "estimate_minutes_per_day"  # infra/limits/estimate_minutes.py
MINUTE = 60_000  # ms
DEAD_SECONDS = 900.0  # a request that has not settled after so long has died with its process
Within = Callable[[Transaction], None]  # a part of somebody else's transaction


def take(
    session: Transaction, account_id: str, subject: str, ms: int, minutes: int | None, *, first: bool = False
) -> None:
    """Count `ms` for `subject`, on top of what it has taken already; `first`: that is nothing. `minutes` is the day's limit,
    None: none.

    Raises QuotaExceeded, which tells when the next day begins; BeyondLimit for what no day has room for.
    """
    if minutes is None or ms <= 0:
        return
    clock = read_clock(session)
    known = None if first else run(session, _MORE, {"name": subject, "more": ms}).first()
    day = known.day if known else day_of(clock)
    limit = minutes * MINUTE
    counted = {"account_id": account_id, "day": day, "kind": KIND, "used": ms, "limit": limit}
    if ms > limit or run(session, COUNT[dialect_of(session)], counted).first() is None:
        whole = known.taken if known else ms
        raise _refusal(whole, minutes, used_on(session, account_id, day), clock)
    if known is None:
        row = {"subject": subject, "account_id": account_id, "day": day, "taken": ms, "before": 0, "opened_at": clock}
        run(session, _OPEN, row)


def settle(session: Transaction, subject: str, ms: int) -> None:
    """It has ended, and `ms` were really heard: 0 for failed work. Again, or where nothing was taken: nothing."""
    row = run(session, _CLOSE, {"name": subject}).one_or_none()
    if row is not None and row.taken != ms:
        run(session, CORRECT, {"account": row.account_id, "on": row.day, "of": KIND, "by": ms - row.taken})


def put_off(session: Session, account_id: str, subject: str, heard_ms: int, before_ms: int) -> None:
    """It goes on tomorrow: today counts what was heard, and from then on tomorrow counts what comes. `before_ms` is all that
    was heard until now.
    """
    settle(session, subject, heard_ms)
    clock = read_clock(session)
    row = {"account_id": account_id, "day": day_of(clock + DAY_SECONDS), "taken": 0, "before": before_ms}
    run(session, _OPEN, {"subject": subject, **row, "opened_at": clock})


class Quota:
    """What is asked outside anybody's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def used_today(self, account_id: str) -> int:
        """Milliseconds of this UTC day, those of work under way included."""
        with self._database.read() as session:
            return used_on(session, account_id, day_of(read_clock(session)))

    def limits(self, account_id: str) -> dict[str, Standing]:
        """How much of each of its limits an account has used, by the limit's name. Raises NotFound."""
        with self._database.read() as session:
            account = session.get(Account, account_id)
            if account is None:
                raise NotFound("No such account.")
            day = day_of(read_clock(session))
            used, estimated = (used_on(session, account_id, day, kind) for kind in (KIND, ESTIMATE_KIND))
            own = limits_of(account.tier, account.limits)
            return {
                LIMIT: Standing(round(used / MINUTE, 2), own.transcription_minutes_per_day),
                ESTIMATE_LIMIT: Standing(round(estimated / MINUTE, 2), own.estimate_minutes_per_day),
                **standings(session, account_id),
            }

    def recount(self) -> dict[str, tuple[int, int]]:
        """Count anew what every account stores; (bytes, results) by which the counters were wrong, where they were."""
        with self._database.read() as session:
            accounts = list(session.scalars(select(col(Account.id)).order_by(col(Account.id))))
        wrong = {}
        for account_id in accounts:
            with self._database.write() as session:
                wrong[account_id] = correct(session, account_id)
        return {account_id: by for account_id, by in wrong.items() if any(by)}

    def release_dead(self, older_than_seconds: float = DEAD_SECONDS, limit: int = 500) -> int:
        """Give back what dead processes took for requests; jobs give back by themselves. Returns how many."""
        dead = select(col(OpenMinutes.subject)).where(
            col(OpenMinutes.opened_at) < now() - older_than_seconds,
            col(OpenMinutes.subject).not_like("job\\_%", escape="\\"),
        )
        with self._database.write() as session:
            subjects = list(session.scalars(dead.order_by(col(OpenMinutes.opened_at)).limit(limit)))
            for subject in subjects:
                settle(session, subject, 0)
        return len(subjects)


def _refusal(ms: int, minutes: int, used: int, clock: float) -> QuotaExceeded | BeyondLimit:
    facts = {"param": LIMIT, "used": round(used / MINUTE, 2), "limit": minutes}
    if ms > minutes * MINUTE:
        return BeyondLimit(
            f"This takes {ms / MINUTE:.2f} minutes of transcription, and the account may use {minutes} a day: no day has room "
            "for it. Transcribe it in parts (`range`), or ask the operator of this server for more.",
            **facts,
        )
    left = max(0, minutes * MINUTE - used)
    wait = DAY_SECONDS - clock % DAY_SECONDS
    return QuotaExceeded(
        f"This takes {ms / MINUTE:.2f} minutes of transcription; the account may use {minutes} a day and has "
        f"{left / MINUTE:.2f} left. The next day begins at 00:00 UTC, {day_of(clock + wait)}.",
        retry_after=wait,
        retry_at=round(clock + wait),
        **facts,
    )


def used_on(session: Transaction, account_id: str, day: str, kind: str = KIND) -> int:
    """Milliseconds of that day."""
    return int(run(session, _USED, {"account": account_id, "on": day, "of": kind}).scalar_one_or_none() or 0)


def day_of(clock: float) -> str:
    """The UTC day of that moment."""
    return datetime.datetime.fromtimestamp(clock, tz=datetime.UTC).date().isoformat()


def _counting(dialect: Any) -> Any:
    """Adds to the day's row where that stays within the limit; a new row's own size is checked by the caller."""
    new = dialect.insert(DailyUsage).values({name: bindparam(name) for name in ("account_id", "day", "kind", "used")})
    sum_of_both = col(DailyUsage.used) + new.excluded.used
    return new.on_conflict_do_update(
        index_elements=["account_id", "day", "kind"],
        set_={"used": sum_of_both},
        where=sum_of_both <= bindparam("limit"),
    ).returning(col(DailyUsage.used))


# Built once: the hot path of every synchronous transcription.
COUNT = {"postgresql": _counting(postgresql), "sqlite": _counting(sqlite)}
_USED = select(col(DailyUsage.used)).where(
    col(DailyUsage.account_id) == bindparam("account"),
    col(DailyUsage.day) == bindparam("on"),
    col(DailyUsage.kind) == bindparam("of"),
)
_OPEN = insert(SQLModel.metadata.tables[str(OpenMinutes.__tablename__)])
_MORE = (
    update(OpenMinutes)
    .where(col(OpenMinutes.subject) == bindparam("name"))
    .values(taken=col(OpenMinutes.taken) + bindparam("more"))
    .returning(col(OpenMinutes.day), col(OpenMinutes.taken))
)
_CLOSE = (
    delete(OpenMinutes)
    .where(col(OpenMinutes.subject) == bindparam("name"))
    .returning(col(OpenMinutes.account_id), col(OpenMinutes.day), col(OpenMinutes.taken))
)
CORRECT = (
    update(DailyUsage)
    .where(
        col(DailyUsage.account_id) == bindparam("account"),
        col(DailyUsage.day) == bindparam("on"),
        col(DailyUsage.kind) == bindparam("of"),
    )
    .values(used=col(DailyUsage.used) + bindparam("by"))
)
