"""`--check` of the roles without a port."""

import os
from pathlib import Path

import pytest

from cli import exits
from infra.worker_heartbeats import FORGOTTEN_SECONDS, SignOfLife
from tests.cli.conftest import Ran, Run

ME = os.getpid()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is."""
    monkeypatch.setenv("STENOPOOL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")


def check(run: Run, role: str = "cpu") -> Ran:
    return run("worker", "--role", role, "--check")


def signs(home: Path) -> list[Path]:
    return list((home / "alive").iterdir())


def test_a_database_that_is_away_is_no_reason_to_kill_a_worker_that_runs(run: Run, home: Path, away: None) -> None:
    assert check(run).code == exits.AWAY
    sign = SignOfLife(home, "cpu", ME)
    sign.give()
    said = check(run)
    assert (said.code, "the database is away" in said.out + said.err) == (0, True)
    assert check(run, "io").code == exits.AWAY, "that one does not run"
    sign.withdraw()
    assert check(run).code == exits.AWAY


def test_a_sign_that_is_old_is_none_and_goes_in_the_end(run: Run, home: Path, away: None) -> None:
    SignOfLife(home, "cpu", ME).give()
    (file,) = signs(home)
    for age, left in ((60.0, [file]), (2 * FORGOTTEN_SECONDS, [])):
        then = file.stat().st_mtime - age
        os.utime(file, (then, then))
        assert (check(run).code, signs(home)) == (exits.AWAY, left)


def test_a_database_that_answers_knows_better(run: Run, home: Path) -> None:
    run("keys", "create")
    SignOfLife(home, "cpu", ME).give()
    assert check(run).code == exits.AWAY
