"""`stenopool usage`: the receipts added up, as a table, as JSON and as CSV."""

import contextlib
import csv
import datetime
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import exits
from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.money import Receipt
from infra.keys.accounts import Accounts
from tests.cli.conftest import Run

FIRST = datetime.datetime(2026, 3, 28, 23, 59, 59, tzinfo=datetime.UTC).timestamp()


def receipt(account: str, model: str, cost: int, at: float) -> Receipt:
    return Receipt(
        id=new_id("rcpt"), account_id=account, key_id="key", subject=new_id("req"), task="transcription", model=model,
        audio_ms=12_500, cost=cost, created_at=at, updated_at=at,
    )  # fmt: skip


@pytest.fixture
def accounts(home: Path) -> Iterator[tuple[str, str]]:
    """Two accounts: 3 receipts on 2 days, and 1."""
    home.mkdir(parents=True)
    with contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}")) as database:
        database.migrate()
        mine, other = (Accounts(database).create_account(name).id for name in ("mine", "other"))
        rows = [
            receipt(mine, "whisper-1", 1250, FIRST),
            receipt(mine, "=cmd", 1, FIRST + 1),
            receipt(mine, "whisper-1", 1250, FIRST + 2),
            receipt(other, "whisper-1", 7_000_000, FIRST),
        ]
        with database.write() as session:
            session.add_all(rows)
    yield mine, other


def test_by_day_model_key_and_account(run: Run, accounts: tuple[str, str]) -> None:
    mine, other = accounts

    def cost(by: str, *words: str) -> dict[str, float]:
        lines = run("usage", "--by", by, "--json", *words).json["usage"]
        return {line[by]: line["cost_usd"] for line in lines}

    assert cost("day") == {"2026-03-29": 0.001251, "2026-03-28": 7.00125}
    assert cost("day", "--account", mine) == {"2026-03-29": 0.001251, "2026-03-28": 0.00125}
    assert cost("model") == {"=cmd": 0.000001, "whisper-1": 7.0025}
    assert cost("account") == {mine: 0.002501, other: 7}
    named = run("usage", "--by", "account", "--json").json["usage"]
    assert {line["account"]: line["name"] for line in named} == {mine: "mine", other: "other"}
    assert "other" in run("usage", "--by", "account").out
    assert cost("key") == {"key": 7.002501}
    assert cost("account", "--from", "2026-03-29") == {mine: 0.001251}
    assert cost("model", "--to", "2026-03-28", "--model", "whisper-1", "--account", other) == {"whisper-1": 7}


def test_the_total(run: Run, accounts: tuple[str, str]) -> None:
    total = run("usage", "--json").json["total"]
    assert (total["requests"], total["audio_seconds"], total["cost_usd"]) == (4, 50, 7.002501)
    assert "7.002501" in run("usage").out
    assert "total" in run("usage").out


def test_as_csv(run: Run, accounts: tuple[str, str]) -> None:
    lines = list(csv.DictReader(io.StringIO(run("usage", "--by", "model", "--csv").out)))
    assert [(line["model"], line["requests"], line["cost_usd"]) for line in lines] == [
        ("'=cmd", "1", "0.000001"),
        ("whisper-1", "3", "7.0025"),
    ]


def test_of_nothing_at_all(run: Run) -> None:
    run("keys", "create")
    assert run("usage", "--json").json == {"by": "day", "usage": [], "total": run("usage", "--json").json["total"]}
    assert run("usage", "--json").json["total"]["requests"] == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--from", "yesterday"), exits.BAD_INPUT),
        (("--from", "2026-03-02", "--to", "2026-03-01"), exits.BAD_INPUT),
        (("--account", "acct_nobody"), exits.NOT_THERE),
        (("--by", "colour"), exits.USAGE),
    ],
)
def test_what_is_refused(run: Run, words: tuple[str, ...], code: int) -> None:
    assert run("usage", *words).code == code
