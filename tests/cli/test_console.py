"""`stenopool console link`, directly in the database."""

import contextlib
from pathlib import Path

import pytest

from cli import exits
from cli.console import note_address
from infra.console.sign_in_links import SignInLinks
from infra.database.session import Database
from infra.keys.accounts import Accounts
from tests.cli.conftest import Run


def test_the_link_alone_is_on_stdout_and_signs_in_once(run: Run, home: Path) -> None:
    assert run("console", "link").code == exits.NOT_THERE, "there is no database yet"
    run("keys", "create")
    made = run("console", "link")
    assert made.code == 0
    address, once = made.out.strip().split("?once=")
    assert address == "http://127.0.0.1:8000/console/start"
    assert once not in made.err
    with contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}")) as database:
        accounts = Accounts(database)
        assert "local" in [account.name for account in accounts.list_accounts()]
        redeemed = [SignInLinks(database, accounts).redeem(once) is not None for _ in range(2)]
    assert redeemed == [True, False]


def test_for_another_account_and_another_address(run: Run) -> None:
    account = run("keys", "create", "--json").json["account_id"]
    made = run("console", "link", "--account", account, "--base-url", "https://speech.example/")
    assert made.out.startswith("https://speech.example/console/start?once=")
    assert account in made.err
    assert run("console", "link", "--account", "acct_of_nobody").code == exits.NOT_THERE


def test_where_up_listens_is_known(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("keys", "create")
    note_address(home, "http://127.0.0.1:9123")
    assert run("console", "link").out.startswith("http://127.0.0.1:9123/console/start?once=")
    monkeypatch.setenv("STENOPOOL_BASE_URL", "https://speech.example")
    assert run("console", "link").out.startswith("https://speech.example/")
