"""`stenopool keys`, on a database that the first command creates."""

import contextlib
from pathlib import Path

import pytest

from cli import exits
from infra.accounts import Accounts
from infra.database.session import Database
from pipeline.errors import Unauthenticated
from tests.cli.conftest import Run


def accounts(home: Path) -> contextlib.closing[Database]:
    return contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}"))


def test_the_key_alone_is_on_stdout_and_works(run: Run, home: Path) -> None:
    made = run("keys", "create", "--tier", "pro")
    assert made.code == 0
    secret = made.out.strip()
    assert secret.startswith("sk-")
    assert secret not in made.err
    with accounts(home) as database:
        assert Accounts(database).authenticate(secret).tier == "pro"


def test_json_has_what_scripts_need(run: Run, home: Path) -> None:
    made = run("keys", "create", "--tier", "pro", "--balance", "10", "--json")
    assert set(made.json) == {"key", "key_id", "account_id"}
    assert "--balance is not recorded" in made.err
    with accounts(home) as database:
        who = Accounts(database).authenticate(made.json["key"])
    assert (who.account_id, who.key_id) == (made.json["account_id"], made.json["key_id"])


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


def test_revoked_is_refused(run: Run, home: Path) -> None:
    made = run("keys", "create", "--json").json
    assert run("keys", "revoke", made["key_id"]).code == 0
    with accounts(home) as database, pytest.raises(Unauthenticated):
        Accounts(database).authenticate(made["key"])
    assert "revoked" in run("keys", "list").out


def test_what_is_not_there(run: Run) -> None:
    assert run("keys", "revoke", "nobody").code == exits.NOT_THERE
    assert run("keys", "create", "--account", "acct_nobody").code == exits.NOT_THERE


def test_what_makes_no_sense(run: Run) -> None:
    assert run("keys", "create", "--tier", "golden").code == exits.USAGE
    assert run("keys", "create", "--tier", "pro", "--account", "acct_x").code == exits.USAGE


def test_no_database_is_a_service_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    said = run("keys", "list")
    assert said.code == exits.AWAY
    assert said.err.strip().endswith("[database_unavailable]")
