"""`--dry-run`: what a run would do, take and cost. Everything is read on this machine, and nothing is sent."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cli.archive.caps import Budget, CapReached, Room, check_priced, room_for
from cli.archive.engine import sound_ms
from cli.archive.hearer import Price
from cli.archive.journal import Journal, Row
from cli.archive.plan import Hearing, Plan
from cli.archive.rendering import Keeper, hash_of
from cli.exits import CAPPED, FAILED, OK
from cli.listing.buckets import Buckets
from cli.listing.sources import opened
from pipeline.errors import StenopoolError

DAY_SECONDS = 86_400
NAMED = 5  # of each kind of what is skipped; a script gets all of them
PriceOf = Callable[[Hearing], Price | None]


@dataclass
class Forecast:
    """What would be done. `cost_micro`: None where nobody here knows it; `beyond`: recordings that a cap keeps from being heard,
    and `cap` which one; `due`: when all should be done, in epoch seconds."""

    due: int | None = None
    files: int = 0
    audio_ms: int = 0
    cost_micro: int | None = 0
    bound: bool = False
    seconds: float | None = None  # of an engine's work; None where nobody knows how fast it goes
    days: int = 0  # that must begin before there are minutes enough
    beyond: int = 0
    cap: str = ""
    skipped: list[tuple[str, str]] = field(default_factory=list)  # name, why
    failing: list[tuple[str, str, str]] = field(default_factory=list)  # name, code, message

    @property
    def done_at(self) -> float | None:
        """Epoch seconds."""
        return None if self.seconds is None or not self.files else time.time() + self.seconds

    @property
    def late(self) -> bool:
        """Whether it would not be done when it is due."""
        return self.due is not None and self.done_at is not None and self.done_at > self.due

    @property
    def code(self) -> int:
        """With which the run would leave."""
        return CAPPED if self.beyond else FAILED if self.failing else OK

    def told(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "files": self.files,
            "audio_seconds": self.audio_ms / 1000,
            "cost_usd": None if self.cost_micro is None else self.cost_micro / 1_000_000,
            "cost_is_bound": self.bound,
            "done_at": None if self.done_at is None else round(self.done_at),
            "late": self.late,
            "beyond_cap": self.beyond,
            "skipped": dict(Counter(why for _, why in self.skipped)),
            "skipped_files": [dict(zip(("source", "reason"), one, strict=True)) for one in self.skipped],
            "failing": [dict(zip(("source", "code", "message"), one, strict=True)) for one in self.failing],
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        bound = "at most " if self.bound else ""
        cost = (
            "nobody here knows for how much"
            if self.cost_micro is None
            else f"for {bound}{self.cost_micro / 1e6:.6f} USD"
        )
        yield f"{self.files} recordings would be heard: {self.audio_ms / 3_600_000:.4f} hours, {cost}"
        if self.done_at is not None:
            told = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.done_at))
            days = f", for the day's minutes last for {self.days} days" if self.days else ""
            yield f"done at about {told}{days}{', which is later than --complete-by' if self.late else ''}"
        if self.beyond:
            yield f"{self.beyond} would not be heard. {self.cap}"
        for why, count in Counter(why for _, why in self.skipped).items():
            names = [name for name, reason in self.skipped if reason == why][:NAMED]
            yield f"{count} would be skipped: {why}: {', '.join(names)}{', …' if count > NAMED else ''}"
        for name, code, message in self.failing:
            yield f"{name}: {message} [{code}]"


def forecast(plan: Plan, journal: Journal, buckets: Buckets, price_of: PriceOf, *, due: int | None = None) -> Forecast:
    """Of everything that is listed. Raises StorageUnavailable, InvalidRequest where a cap on money cannot be kept."""
    look = _Look(plan, journal, buckets, cache(price_of), Forecast(due))
    check_priced(plan.caps, look.price_of(plan.hearing))
    for row in journal.rows(plan.order):
        try:
            look.at(row)
        except StenopoolError as error:
            look.fails(row.name, str(error.as_dict()["code"]), error.message)
        except OSError as error:
            look.fails(row.name, "source_missing", f"It cannot be read: {error.strerror}.")
    for trouble in journal.troubles():
        if trouble.harmless:
            look.found.skipped.append((trouble.name, trouble.message))
        else:
            look.fails(trouble.name, trouble.code, trouble.message)
    _wait_for_days(look.found, look.price_of(plan.hearing))
    return look.found


class _Look:
    """At one recording after the other; the contents that were seen so far, and what the caps leave."""

    def __init__(self, plan: Plan, journal: Journal, buckets: Buckets, price_of: PriceOf, found: Forecast) -> None:
        self.found, self.price_of = found, price_of
        self._plan, self._journal, self._buckets = plan, journal, buckets
        self._keeper, self._budget = Keeper(plan, journal), Budget(plan.caps, journal.spent())
        self._seen: set[str] = set()

    def at(self, row: Row) -> None:
        """Raises what is wrong with it."""
        if row.base is None:
            self.fails(row.name, row.code or "name_refused", row.message or "its outputs have no name")
            return
        blocked = self._keeper.in_the_way(row)
        with opened(row.place, self._buckets) as path:
            digest = row.sha256 if row.is_as_hashed and not self._plan.checksum else hash_of(path)
            assert digest is not None
            hearing = self._plan.hearing.of_line(row.own)
            key = hearing.key(digest)
            why = self._skipped(key)
            if blocked is not None:
                raise blocked
            if why:
                self.found.skipped.append((row.name, why))
            elif not self.found.beyond:
                self._heard(hearing, sound_ms(path))
            else:
                self.found.beyond += 1
            self._seen.add(key)

    def fails(self, name: str, code: str, message: str) -> None:
        """It would stand in the report as failed."""
        self.found.failing.append((name, code, " ".join(message.split())))

    def _skipped(self, key: str) -> str:
        """Why it would be, if it would."""
        if self._keeper.is_kept(key) and not self._plan.force:
            return "heard already"
        if key in self._seen:
            return "the same as another one"
        failed = None if self._plan.force else self._journal.own_failure(key)
        return f"failed before: {failed[1]} (see --retry-failed)" if failed and not self._plan.retry_failed else ""

    def _heard(self, hearing: Hearing, milliseconds: int) -> None:
        found, price = self.found, self.price_of(hearing)
        room = room_for(milliseconds, price) if self._plan.caps.measured else Room()
        cost = None if price is None else price.of(milliseconds)
        try:
            self._budget.take(room)
        except CapReached as error:
            found.beyond, found.cap = found.beyond + 1, error.message
            return
        self._budget.settle(room, Room(cost or 0, milliseconds))
        found.files, found.audio_ms = found.files + 1, found.audio_ms + milliseconds
        found.cost_micro = None if found.cost_micro is None or cost is None else found.cost_micro + cost
        found.bound = found.bound or (price is not None and price.bound)
        if price is not None and price.work is not None:
            found.seconds = (found.seconds or 0.0) + price.work * milliseconds


def _wait_for_days(found: Forecast, price: Price | None) -> None:
    """Where the day's minutes do not suffice."""
    if price is None or not price.minutes_a_day or price.minutes_left is None:
        return
    beyond = found.audio_ms / 60_000 - price.minutes_left
    found.days = max(0, math.ceil(beyond / price.minutes_a_day))
    if found.days:
        until_midnight = DAY_SECONDS - time.time() % DAY_SECONDS
        found.seconds = max(found.seconds or 0, until_midnight + (found.days - 1) * DAY_SECONDS)
