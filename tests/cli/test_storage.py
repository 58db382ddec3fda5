"""`stenopool storage sweep`, `backup` and `schema`: what an operator does now and then."""

import contextlib
import os
import stat
from pathlib import Path

import pytest

from cli import exits
from infra.database.migrations import schema
from infra.database.session import Database
from infra.housekeeping import orphan_sweep
from infra.storage.local import LocalStorage
from tests.cli.conftest import Run

LOST = ["t/acct_1/media/med_1", "t/acct_1/media/med_2"]


@pytest.fixture
def store(home: Path, run: Run) -> LocalStorage:
    """With two objects that nothing leads to, and one that is too young to tell."""
    assert run("keys", "create").code == 0
    store = LocalStorage(home / "storage")
    for key in LOST:
        store.put(key, b"12345")
        os.utime(store.root / key, (1e9, 1e9))
    store.put("t/acct_1/media/med_3", b"1")
    return store


def keys(store: LocalStorage) -> list[str]:
    return [found.key for found in store.list("")]


def test_a_dry_run_shows_what_would_go_and_changes_nothing(run: Run, store: LocalStorage) -> None:
    shown = run("storage", "sweep", "--dry-run", "--json").json
    assert shown == {"objects": 3, "orphans": 2, "bytes": 10, "removed": False, "keys": LOST}
    table = run("storage", "sweep", "--dry-run")
    assert all(key in table.out for key in LOST)
    assert "nothing was" in table.err
    assert len(keys(store)) == 3


def test_a_sweep_removes_it_page_by_page(run: Run, store: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphan_sweep, "PAGE", 2)
    assert run("storage", "sweep", "--json").json == {"objects": 3, "orphans": 2, "bytes": 10, "removed": True}
    assert keys(store) == ["t/acct_1/media/med_3"]


def test_the_store_of_another_database_needs_somebody_to_be_sure(
    run: Run, store: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphan_sweep, "MANY", 2)
    refused = run("storage", "sweep")
    assert refused.code == exits.NOT_THERE
    assert "--force" in refused.err
    assert len(keys(store)) == 3
    assert run("storage", "sweep", "--force").code == 0
    assert len(keys(store)) == 1


def test_a_backup_is_a_database_of_its_owner_alone(run: Run, home: Path, tmp_path: Path) -> None:
    account = run("accounts", "create", "--balance", "5", "--json").json["account_id"]
    assert run("backup", tmp_path / "copy.db").code == 0
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    again = run("backup", tmp_path / "copy.db")
    assert again.code == exits.NOT_THERE and "is there already" in again.err
    assert run("backup", tmp_path).code == 0
    assert len(list(tmp_path.glob("stenopool-*.db"))) == 1
    run("accounts", "top-up", account, "1")  # the copy knows nothing of it
    (home / "stenopool.db").unlink()
    (tmp_path / "copy.db").rename(home / "stenopool.db")
    assert run("accounts", "show", account, "--json").json["balance_usd"] == 5
    assert run("accounts", "check").code == 0


@pytest.mark.parametrize("words", [("backup", "copy.db"), ("schema",), ("schema", "--to", "0025")])
def test_of_no_database_nothing_is_made_and_no_backup_either(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """A nightly backup that knows no STENOPOOL_HOME says so, and is no success."""
    monkeypatch.chdir(tmp_path)
    ran = run(*words)
    assert ran.code == exits.NOT_THERE and "set STENOPOOL_HOME" in ran.err
    assert not home.exists() and not (tmp_path / "copy.db").exists()


def test_a_health_check_makes_no_database(run: Run, home: Path) -> None:
    ran = run("worker", "--role", "cpu", "--check")
    assert ran.code == exits.AWAY and "no cpu on" in ran.err
    assert not home.exists()


def test_the_way_back_and_forth_again(run: Run, home: Path) -> None:
    account = run("accounts", "create", "--balance", "5", "--json").json["account_id"]
    assert run("schema", "--json").json == {"step": schema.head(), "expected": schema.head()}
    assert run("schema", "--to", "0025", "--json").json["step"] == "0025"
    wrong = run("schema", "--to", "0099")
    assert wrong.code == exits.BAD_INPUT and "0001" in wrong.err
    with contextlib.closing(Database(f"sqlite:///{home / 'stenopool.db'}")) as database:
        assert database.check()["migration"] == "0025"
    assert run("accounts", "show", account, "--json").json["balance_usd"] == 5  # which migrates, as every start does
    assert run("schema", "--json").json["step"] == schema.head()
