"""`--dry-run`: what a run would do, take and cost. Everything is read on this machine, and nothing is sent."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cli.archive.engine import sound_ms
from cli.archive.hearer import Price
from cli.archive.journal import Journal, Row
from cli.archive.plan import Plan
from cli.archive.rendering import Keeper, hash_of
from cli.listing.buckets import Buckets
from cli.listing.sources import opened
from pipeline.errors import StenopoolError

DAY_SECONDS = 86_400


@dataclass
class Forecast:
    """What would be done. `done_at` in epoch seconds; None where nobody knows how fast it goes."""

    files: int = 0
    audio_ms: int = 0
    cost_micro: int | None = 0
    bound: bool = False
    seconds: float | None = None
    days: int = 0  # that must begin before there are minutes enough
    skipped: Counter[str] = field(default_factory=Counter)
    failing: list[tuple[str, str, str]] = field(default_factory=list)  # name, code, message

    def told(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "files": self.files,
            "audio_seconds": self.audio_ms / 1000,
            "cost_usd": None if self.cost_micro is None else self.cost_micro / 1_000_000,
            "cost_is_bound": self.bound,
            "done_at": None if self.seconds is None else round(time.time() + self.seconds),
            "skipped": dict(self.skipped),
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
        if self.seconds is not None and self.files:
            told = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + self.seconds))
            yield f"done at about {told}" + (f", for the day's minutes last for {self.days} days" if self.days else "")
        for why, count in self.skipped.items():
            yield f"{count} would be skipped: {why}"
        for name, code, message in self.failing:
            yield f"{name}: {message} [{code}]"


def forecast(plan: Plan, journal: Journal, buckets: Buckets, price: Price | None) -> Forecast:
    """Of everything that is listed. Raises StorageUnavailable."""
    found, look = Forecast(), _Look(plan, journal, buckets, Keeper(plan, journal))
    for row in journal.rows(plan.order):
        try:
            why, milliseconds = _one(look, row)
        except StenopoolError as error:
            found.failing.append((row.name, str(error.as_dict()["code"]), " ".join(error.message.split())))
            continue
        except OSError as error:
            found.failing.append((row.name, "source_missing", f"It cannot be read: {error.strerror}."))
            continue
        if why:
            found.skipped[why] += 1
        else:
            found.files, found.audio_ms = found.files + 1, found.audio_ms + milliseconds
    found.skipped.update(trouble.message for trouble in journal.troubles())
    _reckon(found, price)
    return found


@dataclass
class _Look:
    """What is needed to look at a recording, and the contents that were seen so far."""

    plan: Plan
    journal: Journal
    buckets: Buckets
    keeper: Keeper
    seen: set[str] = field(default_factory=set)


def _one(look: _Look, row: Row) -> tuple[str, int]:
    """(why it would be skipped, or how many ms would be heard)."""
    if row.base is None:
        return row.message or "its outputs have no name", 0
    with opened(row.place, look.buckets) as path:
        digest = row.sha256 if row.is_as_hashed and not look.plan.checksum else hash_of(path)
        assert digest is not None
        key = look.plan.hearing.of_line(row.own).key(digest)
        why = _skipped(look, key)
        look.seen.add(key)
        return (why, 0) if why else ("", sound_ms(path))


def _skipped(look: _Look, key: str) -> str:
    if look.keeper.is_kept(key) and not look.plan.force:
        return "heard already"
    if key in look.seen:
        return "the same as another one"
    failed = None if look.plan.force else look.journal.own_failure(key)
    return f"failed before: {failed[1]} (see --retry-failed)" if failed and not look.plan.retry_failed else ""


def _reckon(found: Forecast, price: Price | None) -> None:
    if price is None:
        found.cost_micro = None
        return
    found.cost_micro, found.bound = price.of(found.audio_ms), price.bound
    if price.work is not None:
        found.seconds = price.work * found.audio_ms
    if price.minutes_a_day and price.minutes_left is not None:
        beyond = found.audio_ms / 60_000 - price.minutes_left
        found.days = max(0, math.ceil(beyond / price.minutes_a_day))
        if found.days:
            until_midnight = DAY_SECONDS - time.time() % DAY_SECONDS
            found.seconds = max(found.seconds or 0, until_midnight + (found.days - 1) * DAY_SECONDS)
