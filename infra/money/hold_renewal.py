"""Requests that are still being answered keep what they hold, however long that takes.

A hold, and the minutes taken with it, go back when they are old: their request has died with its process. One that lives
says so now and then, for all of its process at once, which costs a request that is answered soon nothing at all.
"""

from __future__ import annotations

import weakref

from sqlalchemy import update
from sqlmodel import col

from infra.database.clock import now
from infra.database.session import Database
from infra.database.tables.money import OpenHold, OpenMinutes


class HoldRenewal:
    """The requests under way in this process, safe between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Weak: what a forgotten request holds must be found by the sweep, not be kept for ever. Each change of a dict is
        # one step, so no request waits for another here.
        self._living: dict[str, weakref.ref[object]] = {}

    def keep(self, subject: str, owner: object) -> None:
        """As long as `owner` lives, unless it is dropped before."""
        self._living[subject] = weakref.ref(owner)

    def drop(self, subject: str) -> None:
        """It has ended."""
        self._living.pop(subject, None)

    def renew(self) -> int:
        """What they hold counts as opened now; returns how many requests that were. Raises DatabaseUnavailable."""
        known = self._living.copy()
        for subject in [subject for subject, owner in known.items() if owner() is None]:
            self.drop(subject)
            del known[subject]
        subjects = list(known)
        if subjects:
            with self._database.write() as session:
                for table in (OpenHold, OpenMinutes):
                    session.execute(update(table).where(col(table.subject).in_(subjects)).values(opened_at=now()))
        return len(subjects)
