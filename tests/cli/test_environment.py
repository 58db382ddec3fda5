"""Which database a command works in, and that it never makes one in passing."""

import contextlib
import shlex
import sys
from pathlib import Path

import pytest

from cli import exits
from cli.environment import as_typed
from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.settings import Settings
from infra.webhooks.store import WebhookStore
from tests.cli.conftest import Run
from tests.support.ports import free_port

READING = [
    ("keys", "list"),
    ("keys", "revoke", "k"),
    ("accounts", "list"),
    ("accounts", "ledger"),
    ("accounts", "check"),
    ("accounts", "top-up", "acct_x", "1"),
    ("usage",),
    ("audit",),
    ("prices", "ratio"),
    ("jobs", "list"),
    ("jobs", "cancel", "job_x"),
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_where_there_is_no_database_none_is_made(run: Run, home: Path, words: tuple[str, ...]) -> None:
    said = run(*words)
    assert said.code == exits.NOT_THERE
    assert f"There is no database of Stenopool at sqlite:///{home / 'stenopool.db'}" in said.err
    assert "STENOPOOL_HOME" in said.err
    assert not home.exists()


def test_a_command_names_the_database_that_it_works_in(run: Run, home: Path) -> None:
    place = f"database: sqlite:///{home / 'stenopool.db'}"
    assert f"{place}, made just now; STENOPOOL_HOME names another" in run("keys", "create").err
    for words in (("keys", "list"), ("accounts", "list", "--json"), ("jobs", "list")):
        said = run(*words)
        assert (said.code, said.err) == (0, f"{place}\n")


def test_one_that_does_not_ask_a_set_base_url_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_BASE_URL", "http://127.0.0.1:9")
    assert "STENOPOOL_BASE_URL is set and not asked" in run("keys", "create").err


def test_a_misspelt_setting_ends_a_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_DATABASE_URI", "postgresql://u:p@h/d")
    said = run("keys", "list")
    assert said.code == exits.BAD_INPUT
    assert "STENOPOOL_DATABASE_URL is meant?" in said.err


def test_a_database_that_is_away_and_one_of_tomorrow_have_a_code_each(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("keys", "create")
    with contextlib.closing(Database(Settings(home=home).database)) as database, database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'tomorrow'")
    newer = run("keys", "list")
    assert newer.code == exits.BAD_INPUT
    assert "tomorrow" in newer.err
    port = free_port()
    monkeypatch.setenv("STENOPOOL_DATABASE_URL", f"postgresql://u:secret@127.0.0.1:{port}/d")
    away = run("keys", "list")
    assert away.code == exits.AWAY
    assert f"PostgreSQL is not running at 127.0.0.1 port {port}" in away.err
    assert "secret" not in away.err


def test_a_hint_is_what_has_to_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    words = shlex.split(as_typed("keys list", Settings(home=tmp_path / "a home")))
    assert words == [
        f"STENOPOOL_HOME={tmp_path / 'a home'}",
        str(Path(sys.executable).parent / "stenopool"),
        "keys",
        "list",
    ]
    told = as_typed("keys list", Settings(home=tmp_path, database_url="postgresql://u:secret@h/d"))
    assert "STENOPOOL_DATABASE_URL" in told
    assert "secret" not in told


def test_endpoints_of_all_accounts_are_listed(run: Run, home: Path) -> None:
    run("keys", "create")
    with contextlib.closing(Database(Settings(home=home).database)) as database:
        account = Accounts(database).create_account("Ada").id
        WebhookStore(database).create_endpoint(
            account, name="mine", url="https://example.com/hook", event_types=["webhook.test"]
        )
    assert [one["account_name"] for one in run("webhooks", "list", "--json").json] == ["Ada"]
    assert run("webhooks", "list", "--failing", "--json").json == []
    assert "https://example.com/hook" in run("webhooks", "list", "--account", account).out
