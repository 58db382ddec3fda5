"""`stenopool keys`, on a database that the first command creates."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import exits
from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from pipeline.errors import Unauthenticated
from tests.cli.conftest import Run


@contextlib.contextmanager
def opened(home: Path) -> Iterator[Database]:
    with contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}")) as database:
        yield database


def test_the_key_alone_is_on_stdout_and_works(run: Run, home: Path) -> None:
    made = run("keys", "create", "--tier", "pro")
    assert made.code == 0
    secret = made.out.strip()
    assert secret.startswith("sk-")
    assert secret not in made.err
    with opened(home) as database:
        assert Accounts(database).authenticate(secret).tier == "pro"


def test_json_has_what_scripts_need(run: Run, home: Path) -> None:
    made = run("keys", "create", "--tier", "pro", "--balance", "10", "--json")
    assert set(made.json) == {"key", "key_id", "account_id"}
    assert made.err.startswith("database: ") and made.err.count("\n") == 1
    with opened(home) as database:
        who = Accounts(database).authenticate(made.json["key"])
        assert Ledger(database).balance(who.account_id) == 10_000_000
        assert Ledger(database).check() == []
    assert (who.account_id, who.key_id) == (made.json["account_id"], made.json["key_id"])


@pytest.mark.parametrize("amount", ["0", "0.00"])
def test_a_balance_of_nothing_is_a_key_without_money(run: Run, home: Path, amount: str) -> None:
    for made in (
        run("keys", "create", "--tier", "pro", "--balance", amount, "--json"),
        run("accounts", "create", "Ada", "--balance", amount, "--json"),
    ):
        assert made.code == 0
        account = made.json.get("account_id") or made.json["id"]
        with opened(home) as database:
            assert Ledger(database).balance(account) == 0
            assert Ledger(database).check() == []


def test_a_balance_is_booked_as_typed_or_nothing_is_made(run: Run, home: Path) -> None:
    account = run("keys", "create", "--balance", "0.30", "--json").json["account_id"]
    run("keys", "create", "--account", account, "--balance", "0.000001")
    with opened(home) as database:
        assert Ledger(database).balance(account) == 300_001
    for amount in ("ten", "1e3", "0.0000001", "-1", "2000000"):
        refused = run("keys", "create", "--balance", amount)
        assert refused.code == exits.BAD_INPUT, amount
        assert "--balance" in refused.err
    assert len(run("accounts", "list", "--json").json) == 1


def test_every_key_gets_its_own_account_unless_one_is_named(run: Run) -> None:
    first, second = run("keys", "create", "--json").json, run("keys", "create", "--json").json
    assert first["account_id"] != second["account_id"]
    third = run("keys", "create", "--account", first["account_id"], "--json").json
    assert third["account_id"] == first["account_id"]
    listed = run("keys", "list", "--account", first["account_id"], "--json").json
    assert [key["key_id"] for key in listed] == [first["key_id"], third["key_id"]]


def test_a_list_shows_no_secret(run: Run) -> None:
    secret = run("keys", "create", "--name", "laptop [old]").out.strip()
    shown = run("keys", "list")
    assert "laptop [old]" in shown.out
    assert secret not in shown.out
    assert "hash" not in run("keys", "list", "--json").out


def test_scopes_and_an_end(run: Run, home: Path) -> None:
    made = run(
        "keys", "create", "--scope", "usage", "--scope", "jobs:read", "--expires-in-days", "0.5", "--json"
    ).json  # fmt: skip
    facts = run("keys", "show", made["key_id"], "--json").json
    assert facts["scopes"] == ["jobs:read", "usage"]
    assert facts["state"] == "active"
    assert 0 < facts["expires_at"] - time.time() <= 43_200
    with opened(home) as database:
        assert Accounts(database).authenticate(made["key"]).scopes == {"jobs:read", "usage"}
    assert "usage" in run("keys", "show", made["key_id"]).out
    refused = run("keys", "create", "--scope", "everything")
    assert (refused.code, "jobs:write" in refused.err) == (exits.BAD_INPUT, True)
    assert len(run("accounts", "list", "--json").json) == 1


def test_rotated_both_work_for_a_while(run: Run, home: Path) -> None:
    old = run("keys", "create", "--json").json
    new = run("keys", "rotate", old["key_id"], "--json").json
    assert new["account_id"] == old["account_id"]
    with opened(home) as database:
        assert {Accounts(database).authenticate(one["key"]).key_id for one in (old, new)} == {
            old["key_id"], new["key_id"],
        }  # fmt: skip
    assert run("keys", "show", old["key_id"], "--json").json["state"] == "rotating"
    last = run("keys", "rotate", new["key_id"], "--overlap-hours", "0")
    with opened(home) as database:
        with pytest.raises(Unauthenticated):
            Accounts(database).authenticate(new["key"])
        Accounts(database).authenticate(last.out.strip())
    assert run("keys", "rotate", old["key_id"]).code == exits.NOT_THERE


def test_revoked_is_refused(run: Run, home: Path) -> None:
    made = run("keys", "create", "--json").json
    assert run("keys", "revoke", made["key_id"]).code == 0
    with opened(home) as database, pytest.raises(Unauthenticated):
        Accounts(database).authenticate(made["key"])
    assert "revoked" in run("keys", "list").out


def test_what_is_not_there(run: Run) -> None:
    for words in (("revoke", "nobody"), ("rotate", "nobody"), ("show", "nobody"), ("create", "--account", "acct_x")):
        said = run("keys", *words)
        assert said.code == exits.NOT_THERE, words
        assert said.err.strip().endswith("[not_found]")


def test_what_makes_no_sense(run: Run) -> None:
    assert run("keys", "create", "--tier", "golden").code == exits.USAGE
    assert run("keys", "create", "--tier", "pro", "--account", "acct_x").code == exits.USAGE


def test_no_database_is_a_service_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    said = run("keys", "list")
    assert said.code == exits.AWAY
    assert said.err.strip().endswith("[database_unavailable]")
