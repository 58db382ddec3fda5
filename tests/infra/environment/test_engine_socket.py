"""Where the engines of a machine are met: the same place for all of a home, another one for everybody else."""

from pathlib import Path

import pytest

from infra.environment.engine_socket import engine_socket
from infra.settings import Settings


def test_the_processes_of_a_home_meet_and_those_of_another_do_not(tmp_path: Path) -> None:
    assert engine_socket(tmp_path) == engine_socket(tmp_path) != engine_socket(tmp_path / "other")


def test_other_releases_and_interpreters_have_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine_socket(tmp_path)
    monkeypatch.setattr("infra.environment.engine_socket.version", lambda _: "9.9")
    assert engine_socket(tmp_path) != before
    newer = engine_socket(tmp_path)
    monkeypatch.setattr("sys.executable", "/elsewhere/python")
    assert engine_socket(tmp_path) not in (before, newer)


def test_it_is_short_enough_for_a_socket_however_deep_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    assert len(str(engine_socket(tmp_path / ("deep" * 50)))) <= 107
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = engine_socket(Path("/home"))
    assert found is None or found.parent == tmp_path / "stenopool"


def test_where_no_socket_can_be_and_where_none_is_wanted_each_process_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    assert Settings(home=tmp_path).engine_socket is None
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Settings(home=tmp_path, engines="own").engine_socket is None
