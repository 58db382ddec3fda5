"""When a webhook is sent again: ten attempts over about 75 hours, and what an answer asks for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from infra.outbound.client import Answer
from infra.outbound.failures import GONE

# Seconds to wait after the 1st, 2nd, … attempt: with the first at once, ten attempts over 75 h 35 min.
SCHEDULE = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
ATTEMPTS = len(SCHEDULE) + 1
JITTER = 0.1  # of the wait, either way: receivers that came back are not met by everybody at once
MAX_RETRY_AFTER = 86_400.0  # seconds; who asks for more is asked again after a day
SPAN = sum(SCHEDULE) * (1 + JITTER)  # seconds within which a schedule that nothing delays has passed
PATIENCE = 3  # attempts in a row that run out of time, before the receiver is left alone for a while
QUIET_FIRST, QUIET_MOST = 30.0, 1800.0  # seconds; doubled from one to the next


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an attempt: delivered, or again in `retry_in` seconds, or never again (None).

    `gone`: the receiver wants no more of this, now and in future. `timed_out`: it kept us waiting to the end.
    """

    delivered: bool
    retry_in: float | None
    gone: bool = False
    timed_out: bool = False


def verdict(answer: Answer, tries: int, scale: float = 1.0, *, once: bool = False) -> Verdict:
    """What follows from `answer`, which was the attempt number `tries` (from 1) of the schedule; `once`: there is no other."""
    if answer.ok:
        return Verdict(delivered=True, retry_in=None)
    if answer.status == GONE:
        return Verdict(delivered=False, retry_in=None, gone=True)
    retry_in = None if once else next_delay(tries, retry_after_seconds(answer.headers), scale)
    return Verdict(delivered=False, retry_in=retry_in, timed_out=answer.failure == "timeout")


def next_delay(tries: int, retry_after: float | None = None, scale: float = 1.0) -> float | None:
    """Seconds until the next attempt after `tries` of them, or None after the last.

    `scale` multiplies our own schedule. What the receiver asked for is in its own, real seconds, and only ever makes us
    wait longer.
    """
    if tries >= ATTEMPTS:
        return None
    wait = SCHEDULE[max(tries, 1) - 1] * scale * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - not a secret
    return max(wait, min(retry_after or 0.0, MAX_RETRY_AFTER))


def quiet_for(silent: int, scale: float = 1.0) -> float | None:
    """Seconds for which a receiver is left alone that let so many attempts in a row run out of time; None: go on as before."""
    if silent < PATIENCE:
        return None
    return min(QUIET_FIRST * 2.0 ** min(silent - PATIENCE, 16), QUIET_MOST) * scale


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """What a Retry-After header asks for, in seconds or as a date; None without one, or where it makes no sense."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
