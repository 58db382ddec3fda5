"""Run the `stenopool` command inside the test's process, in a home of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code, and what it wrote where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """STENOPOOL_HOME of the commands."""
    monkeypatch.setenv("STENOPOOL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """run("keys", "list") as if typed; the exit code is an answer like any other."""

    def stenopool(*words: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Ran(int(leaving.value.code or 0), out, err)

    return stenopool


@pytest.fixture
def installed(run: Run) -> None:
    """There is a database: the commands that only read make none."""
    assert run("keys", "create").code == 0
