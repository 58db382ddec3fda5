"""What `--help` says, of every command there is: kept in __snapshots__/test_help.ambr, where a change can be read.

One that is meant is written there by `python -m pytest tests/cli/test_help.py --snapshot-update`. The text of a command that is
gone fails the run as an unused snapshot until the same call has taken it out; so nobody gives `--snapshot-warn-unused`.
"""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cli.conftest import Run
from tests.support.commands import every_command

CHANGED = "`{} --help` changed: if that is meant, run `python -m pytest tests/cli/test_help.py --snapshot-update`"


@pytest.fixture(autouse=True)
def _the_same_terminal_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 columns, no colours: click asks the environment for them, Typer asked it when it was imported."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 100)
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", False)


@pytest.mark.parametrize("words", every_command(), ids=lambda words: f"stenopool {words}".strip())
def test_help(run: Run, snapshot: SnapshotAssertion, words: str) -> None:
    shown = run(*words.split(), "--help")
    assert shown.code == 0
    lines = [line.rstrip() for line in shown.out.strip().splitlines()]
    assert "\n".join(lines) == snapshot, CHANGED.format(f"stenopool {words}".strip())
