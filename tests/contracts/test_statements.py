"""Reading the books: pages, cursors, what is held, and the CSV of everything, on both databases."""

import csv
import datetime
import io
from decimal import Decimal
from typing import Any

import pytest

from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.money import LedgerEntry, OpenHold, Receipt
from infra.keys.accounts import Accounts
from infra.money.export import ledger_csv, receipts_csv, usage_csv
from infra.money.statements import Statements
from infra.money.usage import Wanted
from pipeline.errors import InvalidRequest

BEGAN = datetime.datetime(2026, 3, 28, 23, 59, 50, tzinfo=datetime.UTC).timestamp()


def entry(account: str, at: int, **facts: Any) -> LedgerEntry:
    given = {"kind": "top_up", "delta": 10**at, "amount": 10**at, **facts}
    return LedgerEntry(account_id=account, subject=f"s{at}", at=BEGAN + at, **given)


def receipt(account: str, at: int, **facts: Any) -> Receipt:
    moment = BEGAN + 5 * at
    given = {"task": "transcription", "model": f"m{at % 2}", "cost": at, "audio_ms": 1500, **facts}
    return Receipt(
        id=new_id("rcpt"), account_id=account, subject=f"req_{at}", created_at=moment, updated_at=moment, **given
    )


def kept(database: Database, *rows: Any) -> None:
    """Added one after the other, so that ids grow."""
    for row in rows:
        with database.write() as session:
            session.add(row)


def read(pages: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(pages), newline="")))


@pytest.fixture
def other(database: Database) -> str:
    return Accounts(database).create_account("other").id


def test_the_ledger_page_by_page(database: Database, account: str, other: str) -> None:
    kept(
        database, *(entry(account, at) for at in range(5)), entry(other, 9), entry(account, 7, kind="adjust", delta=-1)
    )
    statements = Statements(database)
    first, more = statements.entries(account, limit=4)
    rest, none = statements.entries(account, limit=4, after=first[-1].id)
    assert [row.subject for row in first + rest] == ["s7", "s4", "s3", "s2", "s1", "s0"]
    assert (more, none) == (True, False)
    assert [row.subject for row in statements.entries(account, kind="adjust")[0]] == ["s7"]
    assert [row.subject for row in statements.entries(account, subject="s3")[0]] == ["s3"]
    assert statements.entries(account, subject="s9") == ([], False)
    assert len(statements.entries(None)[0]) == 7


def test_receipts_page_by_page(database: Database, account: str, other: str) -> None:
    kept(database, *(receipt(account, at) for at in range(5)), receipt(other, 9))
    statements = Statements(database)
    mine = Wanted(account_id=account)
    first, more = statements.receipts(mine, limit=3)
    rest, none = statements.receipts(mine, limit=3, after=first[-1].id)
    assert [row.subject for row in first + rest] == [f"req_{at}" for at in (4, 3, 2, 1, 0)]
    assert (more, none) == (True, False)
    assert [row.cost for row in statements.receipts(mine, subject="req_2")[0]] == [2]
    assert statements.receipts(mine, subject="req_9") == ([], False)
    (foreign,), _ = statements.receipts(Wanted(account_id=other))
    for cursor in (foreign.id, "rcpt_nothing"):
        with pytest.raises(InvalidRequest):
            statements.receipts(mine, after=cursor)


def test_what_is_held(database: Database, account: str, other: str) -> None:
    statements = Statements(database)
    assert statements.held(account) == 0
    holds = ((account, 2), (account, 30), (other, 400))
    kept(database, *(OpenHold(subject=f"r{held}", account_id=own, held=held, opened_at=1.0) for own, held in holds))
    assert (statements.held(account), statements.held(other)) == (32, 400)


def test_the_whole_ledger_as_csv(database: Database, account: str, other: str) -> None:
    kept(database, *(entry(account, at, note="=1+1") for at in range(7)), entry(other, 8, delta=-1_500_000))
    lines = read(ledger_csv(database, Wanted(), page=3))
    assert [line["subject"] for line in lines] == [*(f"s{at}" for at in range(7)), "s8"]
    assert sum(Decimal(line["delta_usd"]) for line in lines) == Decimal("1.111111") - Decimal("1.5")
    assert lines[0] | {"id": ""} == {
        "id": "", "at": "2026-03-28T23:59:50.000+00:00", "account_id": account, "kind": "top_up", "subject": "s0",
        "part": "0", "delta_usd": "0.000001", "amount_usd": "0.000001", "note": "'=1+1",
    }  # fmt: skip
    assert lines[-1]["delta_usd"] == "-1.50"
    day = datetime.date(2026, 3, 28)
    assert len(read(ledger_csv(database, Wanted(account_id=account, since=day, until=day)))) == 7
    assert read(ledger_csv(database, Wanted(since=datetime.date(2026, 3, 29)))) == []


def test_receipts_and_usage_as_csv(database: Database, account: str, other: str) -> None:
    tokens = {"text_in": 5, "audio_out": 7}
    rows = [receipt(account, at, key_id="k", prices={"audio_minute": "0.006"}, tokens=tokens) for at in range(4)]
    kept(database, *rows, receipt(other, 9))
    lines = read(receipts_csv(database, Wanted(), page=2))
    assert {line["id"]: line["subject"] for line in lines} == {row.id: row.subject for row in rows} | {
        lines[-1]["id"]: "req_9"
    }
    assert lines[0]["prices"] == '{"audio_minute": "0.006"}'
    assert (lines[0]["audio_seconds"], lines[0]["audio_tokens_out"], lines[0]["text_tokens_out"]) == ("1.500", "7", "0")
    assert len(read(receipts_csv(database, Wanted(account_id=other)))) == 1
    usage = [
        (line["day"], line["model"], line["requests"], line["cost_usd"]) for line in read(_usage(database, account))
    ]
    assert usage == [
        ("2026-03-28", "m0", "1", "0.00"),
        ("2026-03-28", "m1", "1", "0.000001"),
        ("2026-03-29", "m0", "1", "0.000002"),
        ("2026-03-29", "m1", "1", "0.000003"),
    ]


def _usage(database: Database, account: str) -> Any:
    return usage_csv(database, Wanted(account_id=account))
