"""SQLite's files are their owner's alone, whatever the umask and whatever they were before."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.database.file_mode import BESIDE
from infra.database.session import Database
from infra.keys.accounts import Accounts


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.usefixtures("umask")
def test_a_new_database_is_its_owners_alone_with_its_log(tmp_path: Path) -> None:
    with contextlib.closing(Database(f"sqlite:///{tmp_path / 'new.db'}")) as database:
        database.migrate()
        Accounts(database).create_account("tests")
        assert database.exposed_file() is None
        assert modes(tmp_path) == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


@pytest.mark.usefixtures("umask")
def test_one_that_was_open_to_others_is_no_more(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with contextlib.closing(Database(f"sqlite:///{path}")) as database:
        database.migrate()
        for suffix in BESIDE:
            if (beside := path.with_name(path.name + suffix)).exists():
                beside.chmod(0o664)
        assert database.exposed_file() == path
        with contextlib.closing(Database(f"sqlite:///{path}")) as again:
            assert again.exposed_file() is None
            assert set(modes(tmp_path).values()) == {0o600}
            assert again.check()["migration"] == again.check()["expected"]


def test_a_place_that_cannot_be_a_database_is_told_by_the_one_who_opens_it(tmp_path: Path) -> None:
    with contextlib.closing(Database(f"sqlite:///{tmp_path}")) as database, pytest.raises(Exception, match="database"):
        database.check()
