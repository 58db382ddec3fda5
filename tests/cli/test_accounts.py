"""`stenopool accounts`: accounts and their money, directly in the database."""

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from cli import exits
from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from tests.cli.conftest import Run


def create(run: Run, *words: str) -> dict[str, Any]:
    made = run("accounts", "create", *words, "--json")
    assert made.code == 0, made.err
    return made.json


def booked(home: Path, account: str) -> int:
    with contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}")) as database:
        assert Ledger(database).check() == []
        return Ledger(database).balance(account)


def test_made_shown_listed(run: Run, home: Path) -> None:
    made = create(
        run, "Ada & Söhne", "--tier", "enterprise", "--plan", "gold", "--balance", "2.50",
        "--own-limit", "concurrent_jobs=7",
    )  # fmt: skip
    account = made["account_id"]
    assert made["balance_usd"] == 2.5
    assert booked(home, account) == 2_500_000
    shown = run("accounts", "show", account, "--json").json
    nothing = dict.fromkeys(("concurrent_jobs", "stored_bytes", "stored_results", "webhook_endpoints"), 0)
    minutes = dict.fromkeys(("transcription_minutes_per_day", "estimate_minutes_per_day"), 0.0)
    assert shown == made | {"held_usd": 0, "used": {**minutes, **nothing}}
    assert shown["limits"]["concurrent_jobs"] == 7
    assert "Ada & Söhne" in run("accounts", "show", account).out
    table = run("accounts", "show", account).out
    assert "limit: concurrent_jobs" in table
    assert "7 (used: 0)" in table
    other = create(run)
    listed = run("accounts", "list", "--json").json
    assert [one["account_id"] for one in listed] == [other["account_id"], account]
    assert [one["account_id"] for one in run("accounts", "list", "--tier", "free", "--json").json] == [
        other["account_id"]
    ]
    assert account in run("accounts", "list").out
    assert run("accounts", "create", "Bob").out.startswith("acct_")


def test_changed(run: Run) -> None:
    account = create(run, "Ada", "--own-limit", "concurrent_jobs=7")["account_id"]
    changed = run(
        "accounts", "set", account, "--tier", "pro", "--status", "suspended", "--name", "Eve",
        "--own-limit", "speech_requests_per_minute=none", "--json",
    ).json  # fmt: skip
    assert (changed["tier"], changed["status"], changed["name"]) == ("pro", "suspended", "Eve")
    assert changed["own_limits"] == {"concurrent_jobs": 7, "speech_requests_per_minute": None}
    back = run("accounts", "set", account, "--no-own-limits", "--json").json
    assert back["own_limits"] == {}
    assert back["limits"]["speech_requests_per_minute"] == 60


def test_a_threshold_of_the_balance(run: Run) -> None:
    account = create(run, "Ada")["account_id"]
    assert run("accounts", "set", account, "--balance-low", "2.50", "--json").json["balance_low_usd"] == 2.5
    assert run("accounts", "set", account, "--name", "Eve", "--json").json["balance_low_usd"] == 2.5
    assert run("accounts", "set", account, "--balance-low", "little").code == exits.BAD_INPUT
    assert run("accounts", "set", account, "--balance-low", "none", "--json").json["balance_low_usd"] is None
    assert [entry["details"]["to"] for entry in run("audit", "--act", "account.update", "--json").json] == [
        {"balance_low_micro": None}, {}, {"balance_low_micro": 2_500_000},
    ]  # fmt: skip


def test_money_in_and_corrections(run: Run, home: Path) -> None:
    account = create(run)["account_id"]
    for _ in range(2):
        assert run("accounts", "top-up", account, "0.1").code == 0
    added = run("accounts", "top-up", account, "0.1", "--note", "by bank").err
    assert "0.30 USD" in added
    assert booked(home, account) == 300_000
    taken = run("accounts", "adjust", account, "-0.05", "--note", "=a mistake", "--json").json
    assert (taken["delta_usd"], taken["balance_usd"], taken["note"]) == (-0.05, 0.25, "=a mistake")
    below = run("accounts", "adjust", account, "-1", "--note", "too much")
    assert below.code == exits.NOT_ALLOWED
    assert booked(home, account) == 250_000
    assert run("accounts", "adjust", account, "1").code == exits.USAGE


def test_the_same_key_counts_once(run: Run, home: Path) -> None:
    account = create(run)["account_id"]
    words = ("accounts", "top-up", account, "5", "--idempotency-key", "invoice 7", "--json")
    first, again = run(*words).json, run(*words).json
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["id"] == again["id"]
    assert booked(home, account) == 5_000_000
    other = run("accounts", "top-up", account, "6", "--idempotency-key", "invoice 7")
    assert other.code == exits.NOT_THERE
    assert booked(home, account) == 5_000_000


def test_the_ledger(run: Run) -> None:
    account, other = create(run, "--balance", "1")["account_id"], create(run, "--balance", "2")["account_id"]
    run("accounts", "adjust", account, "-0.25", "--note", "=1+1")
    rows = run("accounts", "ledger", account, "--json").json
    assert [(row["kind"], row["delta_usd"]) for row in rows] == [("adjust", -0.25), ("top_up", 1)]
    assert len(run("accounts", "ledger", "--json").json) == 3
    assert [row["account_id"] for row in run("accounts", "ledger", "--kind", "adjust", "--json").json] == [account]
    assert "-0.25" in run("accounts", "ledger", account).out
    sheet = list(csv.DictReader(io.StringIO(run("accounts", "ledger", "--csv").out)))
    assert [(line["account_id"], line["delta_usd"], line["note"]) for line in sheet] == [
        (account, "1.00", "to begin with"), (other, "2.00", "to begin with"), (account, "-0.25", "'=1+1"),
    ]  # fmt: skip


def test_the_books_are_compared(run: Run, home: Path) -> None:
    account = create(run, "--balance", "1")["account_id"]
    assert run("accounts", "check").code == 0
    with contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}")) as database, database.write() as session:
        from sqlalchemy import text

        session.execute(text("UPDATE accounts SET balance_micro = balance_micro + 1"))
    told = run("accounts", "check", "--json")
    assert (told.code, told.json["ok"]) == (exits.FAILED, False)
    assert account in told.json["differences"][0]


def test_what_is_refused(run: Run) -> None:
    account = create(run)["account_id"]
    for words, code in (
        (("show", "acct_x"), exits.NOT_THERE),
        (("top-up", "acct_x", "1"), exits.NOT_THERE),
        (("ledger", "acct_x"), exits.NOT_THERE),
        (("set", "acct_x", "--tier", "pro"), exits.NOT_THERE),
        (("top-up", account, "ten"), exits.BAD_INPUT),
        (("top-up", account, "0.0000001"), exits.BAD_INPUT),
        (("create", "--tier", "golden"), exits.BAD_INPUT),
        (("create", "--own-limit", "wishes=3"), exits.BAD_INPUT),
        (("create", "--own-limit", "concurrent_jobs"), exits.BAD_INPUT),
        (("set", account, "--status", "gone"), exits.BAD_INPUT),
        (("ledger", "--kind", "gift"), exits.BAD_INPUT),
        (("adjust", account, "-1.5"), exits.USAGE),
    ):
        said = run("accounts", *words)
        assert said.code == code, words
        assert "Traceback" not in said.err
    assert run("accounts", "show", account, "--json").json["balance_usd"] == 0


def test_a_suspended_account_is_let_in_no_more(run: Run, home: Path) -> None:
    made = json.loads(run("keys", "create", "--json").out)
    run("accounts", "set", made["account_id"], "--status", "suspended")
    with contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}")) as database:
        from pipeline.errors import AccountSuspended

        with pytest.raises(AccountSuspended):
            Accounts(database).authenticate(made["key"])


def test_an_erased_account_keeps_its_numbers_and_tells_what_it_lost(run: Run, home: Path) -> None:
    account = create(run, "Ada & Söhne", "--balance", "2.50")["account_id"]
    key = run("keys", "create", "--account", account, "--name", "backend", "--json").json["key_id"]
    erased = run("accounts", "erase", account, "--json")
    assert erased.code == 0, erased.err
    assert erased.json["removed"]["api_keys"] == 1 and erased.json["removed"]["jobs"] == 0
    assert erased.json["kept"] == {"ledger_entries": 2, "receipts": 0}
    assert booked(home, account) == 2_500_000
    shown = run("accounts", "show", account, "--json").json
    assert (shown["name"], shown["status"]) == ("", "closed")
    assert run("keys", "show", key, "--json").json["name"] == ""
    again = run("accounts", "erase", account)
    assert again.code == 0 and "removed: api_keys" in again.out
    assert run("accounts", "erase", "acct_nobody").code == exits.NOT_THERE
