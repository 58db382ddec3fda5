"""Sound that is decoded for estimates, which nobody pays: each account may have so much of it a day, taken before it is decoded.

An estimate takes minutes as it goes, by one conditional UPDATE for each piece, and is refused where the day has none left, in the
middle of a recording too. At its end it gives back what it has not used; one that fails keeps what it took.
"""

from __future__ import annotations

from infra.database.clock import read_clock
from infra.database.days import DAY_SECONDS
from infra.database.session import Database, Transaction, dialect_of, run
from infra.database.tables.accounts import Account
from infra.keys.tiers import limits_of
from infra.money.quota import CORRECT, COUNT, ESTIMATE_KIND, ESTIMATE_LIMIT, MINUTE, day_of, used_on
from pipeline.errors import QuotaExceeded

PIECE = 60 * MINUTE  # at most so much is taken at once


class EstimateMinutes:
    """The account's minutes, on the database's clock and UTC days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self, account_id: str) -> None:
        """Raises QuotaExceeded where the day has no minute left for one more."""
        with self._database.read() as session:
            clock, account = read_clock(session), session.get_one(Account, account_id)
            minutes = limits_of(account.tier, account.limits).estimate_minutes_per_day
            used = used_on(session, account_id, day_of(clock), ESTIMATE_KIND)
            if minutes is not None and used + MINUTE > minutes * MINUTE:
                raise _refusal(session, account_id, minutes, clock)

    def begin(self, account_id: str) -> EstimateMeter:
        """For one estimate, with its first minute. Raises QuotaExceeded."""
        meter = EstimateMeter(self, account_id)
        meter.reached(1)
        return meter

    def take(self, account_id: str, ms: int) -> str:
        """Count so much more, and the day it counts on. Raises QuotaExceeded."""
        with self._database.write() as session:
            clock, account = read_clock(session), session.get_one(Account, account_id)
            minutes, day = limits_of(account.tier, account.limits).estimate_minutes_per_day, day_of(clock)
            if minutes is not None:
                counted = {
                    "account_id": account_id,
                    "day": day,
                    "kind": ESTIMATE_KIND,
                    "used": ms,
                    "limit": minutes * MINUTE,
                }
                if ms > minutes * MINUTE or run(session, COUNT[dialect_of(session)], counted).first() is None:
                    raise _refusal(session, account_id, minutes, clock)
            return day if minutes is not None else ""

    def give_back(self, account_id: str, day: str, ms: int) -> None:
        """Of what was taken on that day, so much was not used."""
        with self._database.write() as session:
            run(session, CORRECT, {"account": account_id, "on": day, "of": ESTIMATE_KIND, "by": -ms})


class EstimateMeter:
    """What one estimate has taken."""

    def __init__(self, minutes: EstimateMinutes, account_id: str) -> None:
        self._minutes, self._account_id = minutes, account_id
        self._day = ""  # on which the last piece counts; "": nothing is counted
        self._taken = self._reached = 0

    def reached(self, ms: int) -> None:
        """So much is decoded, or will be next. Raises QuotaExceeded."""
        self._reached = max(self._reached, ms)
        while self._taken < self._reached:
            self._take(min(max(self._taken, MINUTE), PIECE))

    def finish(self) -> None:
        """It has come to its end."""
        left = self._taken - max(MINUTE, self._reached)
        if left > 0 and self._day:
            self._minutes.give_back(self._account_id, self._day, left)

    def _take(self, piece: int) -> None:
        """As much again as it has, so that hours cost few transactions; where the day has less left, its minutes one by one."""
        try:
            self._day = self._minutes.take(self._account_id, piece)
        except QuotaExceeded:
            if piece == MINUTE:
                raise
            self._take(MINUTE)
        else:
            self._taken += piece


def _refusal(session: Transaction, account_id: str, minutes: int, clock: float) -> QuotaExceeded:
    wait = DAY_SECONDS - clock % DAY_SECONDS
    used = used_on(session, account_id, day_of(clock), ESTIMATE_KIND)
    return QuotaExceeded(
        f"Estimates decode at most {minutes} minutes of sound a day for this account, and {used / MINUTE:.0f} are used up. Give "
        "`duration_seconds` instead of a recording, or make a job with a `max_cost`: what would cost more is not heard. The next "
        f"day begins at 00:00 UTC, {day_of(clock + wait)}.",
        param=ESTIMATE_LIMIT,
        used=round(used / MINUTE, 2),
        limit=minutes,
        retry_after=wait,
        retry_at=round(clock + wait),
    )
