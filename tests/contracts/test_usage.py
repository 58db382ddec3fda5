"""Reports over the receipts, against sums made by hand, on both databases."""

import datetime
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import pytest

from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.money import Receipt
from infra.keys.accounts import Accounts
from infra.money.usage import Group, Sums, Usage, Wanted
from pipeline.errors import InvalidRequest

NOON = datetime.datetime(2026, 3, 28, 12, tzinfo=datetime.UTC).timestamp()  # the day before clocks change in Europe
DAY = 86_400.0
MODELS = ("whisper-1", "tts-1", "gpt-4o-transcribe", "Ünïcode/model")
KINDS = ("text_in", "audio_in", "text_out", "audio_out")


def receipt(account_id: str, **facts: Any) -> Receipt:
    given = {"task": "transcription", "model": "whisper-1", "created_at": NOON, **facts}
    return Receipt(
        id=new_id("rcpt"), account_id=account_id, subject=new_id("req"), updated_at=given["created_at"], **given
    )


def one(account_id: str, dice: random.Random) -> Receipt:
    """Some receipt of some week; sums of thousands of them are far above what a float or 32 bits hold exactly."""
    return receipt(
        account_id,
        key_id=dice.choice((None, "key_a", "key_b")),
        model=dice.choice(MODELS),
        audio_ms=dice.randrange(10**10),
        characters=dice.randrange(5000),
        tokens=dice.choice((None, {kind: dice.randrange(10**6) for kind in KINDS[: dice.randrange(1, 5)]})),
        cost=dice.choice((0, 1, dice.randrange(10**12), 2**53 + 1)),
        created_at=NOON + dice.randrange(-3 * 86_400, 4 * 86_400) + dice.random(),
    )


@pytest.fixture
def many(database: Database, account: str) -> list[Receipt]:
    dice = random.Random(7)
    other = Accounts(database).create_account("other").id
    receipts = [one(dice.choice((account, account, other)), dice) for _ in range(400)]
    with database.write() as session:
        session.add_all(receipts)
    return receipts


def brute(receipts: list[Receipt]) -> Sums:
    tokens = [sum((row.tokens or {}).get(kind, 0) for row in receipts) for kind in KINDS]
    plain = [sum(getattr(row, name) for row in receipts) for name in ("audio_ms", "characters")]
    return Sums(len(receipts), *plain, *tokens, sum(row.cost for row in receipts))


def day_of(row: Receipt) -> str:
    return datetime.datetime.fromtimestamp(row.created_at, tz=datetime.UTC).date().isoformat()


BY: dict[str, Callable[[Receipt], str]] = {
    "model": lambda row: row.model,
    "key": lambda row: row.key_id or "",
    "day": day_of,
    "account": lambda row: row.account_id,
}


@pytest.mark.parametrize("by", BY)
def test_sums_are_those_made_by_hand(database: Database, many: list[Receipt], by: Any) -> None:
    held = defaultdict(list)
    for row in many:
        held[BY[by](row)].append(row)
    expected = {name: brute(rows) for name, rows in held.items()}
    groups, more = Usage(database).grouped(Wanted(), by)
    assert not more
    assert {group.id: group.sums for group in groups} == expected
    assert all(type(value) is int for group in groups for value in astuple(group.sums))
    assert Usage(database).total(Wanted()) == brute(many)


def test_narrowed_to_an_account_a_key_a_model_and_days(database: Database, many: list[Receipt], account: str) -> None:
    usage, since, until = Usage(database), datetime.date(2026, 3, 27), datetime.date(2026, 3, 29)
    mine = [row for row in many if row.account_id == account]
    inside = [row for row in mine if since.isoformat() <= day_of(row) <= until.isoformat()]
    assert 0 < len(inside) < len(mine) < len(many)
    assert usage.total(Wanted(account_id=account)) == brute(mine)
    assert usage.total(Wanted(account_id=account, since=since, until=until)) == brute(inside)
    keyed = Wanted(account_id=account, key_id="key_a", model="tts-1")
    assert usage.total(keyed) == brute([row for row in mine if (row.key_id, row.model) == ("key_a", "tts-1")])
    assert usage.total(Wanted(account_id="acct_nobody")) == Sums()
    assert usage.grouped(Wanted(account_id="acct_nobody"), "day") == ([], False)


@pytest.mark.parametrize("by", BY)
def test_pages_put_together_are_the_whole(database: Database, many: list[Receipt], by: Any) -> None:
    usage, pages, after = Usage(database), list[Group](), None
    whole, _ = usage.grouped(Wanted(), by)
    for _ in range(len(whole)):
        page, more = usage.grouped(Wanted(), by, limit=2, after=after)
        pages += page
        after = page[-1].id
        if not more:
            break
    assert pages == whole
    assert usage.grouped(Wanted(), by, after=after) == ([], False)


def test_the_latest_day_comes_first_and_names_by_name(database: Database, many: list[Receipt]) -> None:
    days = [group.id for group in Usage(database).grouped(Wanted(), "day")[0]]
    assert days == sorted(days, reverse=True)
    models = [group.id for group in Usage(database).grouped(Wanted(), "model")[0]]
    assert sorted(models) == sorted(MODELS)


def test_a_day_begins_at_midnight_in_utc(database: Database, account: str) -> None:
    midnight = datetime.datetime(2026, 3, 29, tzinfo=datetime.UTC).timestamp()
    moments = (midnight - 1e-6, midnight, midnight + DAY - 1e-6, midnight + DAY)
    with database.write() as session:
        session.add_all([receipt(account, cost=10**at, created_at=moment) for at, moment in enumerate(moments)])
    groups, _ = Usage(database).grouped(Wanted(), "day")
    assert [(group.id, group.sums.cost) for group in groups] == [
        ("2026-03-30", 1000),
        ("2026-03-29", 110),
        ("2026-03-28", 1),
    ]
    one_day = datetime.date(2026, 3, 29)
    assert Usage(database).total(Wanted(since=one_day, until=one_day)).cost == 110


def test_a_cursor_that_is_no_day(database: Database) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Usage(database).grouped(Wanted(), "day", after="yesterday")
    assert refused.value.param == "after"
