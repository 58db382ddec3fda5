"""Minutes of sound that estimates decode in a day: exact, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.limits.estimate_minutes import PIECE, EstimateMinutes
from infra.money.quota import ESTIMATE_LIMIT, MINUTE, Quota
from pipeline.errors import QuotaExceeded


def limit(database: Database, account: str, minutes: int | None) -> None:
    Accounts(database).update(account, limits={ESTIMATE_LIMIT: minutes})


def used(database: Database, account: str) -> float | None:
    return Quota(database).limits(account)[ESTIMATE_LIMIT].used


def test_an_estimate_counts_what_it_decodes_and_a_minute_at_least(database: Database, account: str) -> None:
    limit(database, account, 100)
    for decoded, counted in ((1, 1.0), (90_000, 1.5), (15 * MINUTE, 15)):
        before = used(database, account) or 0
        meter = EstimateMinutes(database).begin(account)
        for part in range(1, 4):
            meter.reached(decoded * part // 3)
        meter.finish()
        assert (used(database, account) or 0) - before == pytest.approx(counted)


def test_a_recording_that_uses_up_the_day_is_refused_in_its_middle(database: Database, account: str) -> None:
    limit(database, account, 15)
    meter = EstimateMinutes(database).begin(account)
    meter.reached(15 * MINUTE)
    with pytest.raises(QuotaExceeded, match="at most 15 minutes") as refused:
        meter.reached(15 * MINUTE + 1)
    assert (refused.value.param, refused.value.details["used"], refused.value.details["limit"]) == (
        ESTIMATE_LIMIT,
        15,
        15,
    )
    assert used(database, account) == 15  # what failed keeps what it took


def test_hours_cost_few_transactions(database: Database, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(database, account, 6000)
    minutes, pieces = EstimateMinutes(database), []
    take = minutes.take
    monkeypatch.setattr(minutes, "take", lambda account_id, ms: pieces.append(ms) or take(account_id, ms))
    meter = minutes.begin(account)
    for minute in range(1, 24 * 60 + 1):
        meter.reached(minute * MINUTE)
    meter.finish()
    assert (len(pieces), max(pieces)) == (30, PIECE)
    assert used(database, account) == 24 * 60


def test_nobody_gets_more_than_there_is_at_the_same_time(database: Database, account: str) -> None:
    limit(database, account, 5)
    minutes = EstimateMinutes(database)

    def begin(_: int) -> bool:
        try:
            minutes.begin(account)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(begin, range(12))) == 5


def test_without_a_limit_nothing_is_counted_and_with_none_at_all_nothing_is_decoded(
    database: Database, account: str
) -> None:
    meter = EstimateMinutes(database).begin(account)
    meter.reached(1000 * MINUTE)
    meter.finish()
    assert used(database, account) == 0
    limit(database, account, 0)
    for ask in (EstimateMinutes(database).begin, EstimateMinutes(database).check):
        with pytest.raises(QuotaExceeded):
            ask(account)
