"""`stenopool models …`: what is installed, and what each command says and leaves with."""

import os
from pathlib import Path

import pytest

from cli import exits
from cli.doctor import _models as look_at_models
from infra.settings import Settings
from tests.cli.conftest import Run
from tests.support.weights import FILES, sha256, tiny, write_folder


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, and one tiny model that may be put there."""
    monkeypatch.setattr("infra.settings.shipped_weights", lambda: {"tiny": tiny()})
    monkeypatch.setenv("STENOPOOL_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STENOPOOL_OFFLINE", "1")
    return tmp_path / "models"


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "given")


def test_weights_are_listed_with_their_licence_and_sources(run: Run, models: Path, given: Path) -> None:
    (before,) = run("models", "list", "--json").json
    assert (before["name"], before["installed"], before["path"]) == ("tiny", False, str(models / "tiny"))
    assert before["size"] == sum(map(len, FILES.values()))
    assert (before["sha256"], before["licence"]) == (sha256(FILES["model.bin"]), "MIT")
    assert len(before["sources"]) == 2 and "tiny-weights-1 1.0.0" in before["sources"][0]
    assert run("models", "install", "tiny", "--from", given).code == 0
    (after,) = run("models", "list", "--json").json
    assert after == {**before, "installed": True}
    shown = run("models", "list")
    assert "tiny" in shown.out and "transcription: pocketsphinx-en-us" in shown.err


def test_verify_names_what_is_damaged_and_install_replaces_it(run: Run, models: Path, given: Path) -> None:
    assert run("models", "verify").code == 0
    installed = run("models", "install", "tiny", "--from", given)
    assert "is installed in" in installed.err and len(installed.err.splitlines()) == 1
    verified = run("models", "verify")
    assert (verified.code, verified.err) == (0, "tiny: whole\n")
    (models / "tiny" / "model.bin").write_bytes(bytes(len(FILES["model.bin"])))
    verified = run("models", "verify")
    assert verified.code == exits.FAILED
    assert verified.err.startswith("tiny: damaged, model.bin is not what was published")
    assert run("models", "install", "tiny", "--from", given).code == 0
    assert "is installed and whole" in run("models", "install", "tiny").err
    assert run("models", "remove", "tiny").code == 0
    assert not (models / "tiny").exists()


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("install", "tiny"), exits.AWAY, "[weights_unavailable]"),
        (("install", "huge"), exits.NOT_THERE, "`stenopool models list` shows: tiny [not_found]"),
        (("install", "tiny", "--from", "/nowhere/at/all"), exits.BAD_INPUT, "/nowhere/at/all does not exist"),
        (("install", "tiny", "--from", "/dev/null"), exits.AWAY, "[weights_unavailable]"),
        (("remove", "tiny"), exits.NOT_THERE, "[not_found]"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, words: tuple[str, ...], code: int, line: str) -> None:
    ran = run("models", *words)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1)
    assert line in ran.err


def test_a_store_that_cannot_be_written_is_a_wrong_setting(
    run: Run, given: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STENOPOOL_MODELS", str(tmp_path / "file" / "models"))
    ran = run("models", "install", "tiny", "--from", given)
    assert (ran.code, len(ran.err.splitlines())) == (exits.BAD_INPUT, 1)
    assert "[model_store_unwritable]" in ran.err


def test_alone_it_lists_the_models_as_before(run: Run) -> None:
    offered = {model["id"]: model for model in run("models", "--json").json}
    assert offered["whisper-base"]["served_by"] == "pocketsphinx (stands in)"
    assert "better ear" in run("models").err


def test_weights_that_are_cut_short_are_damaged_and_not_just_absent(
    run: Run, models: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.settings.shipped_weights", lambda: {"whisper-base": tiny("whisper-base")})
    run("models", "install", "whisper-base", "--from", given)
    (models / "whisper-base" / "model.bin").write_bytes(FILES["model.bin"][:-1])
    replace = "`stenopool models install whisper-base` replaces it"
    assert f"whisper-base is damaged, model.bin has {len(FILES['model.bin']) - 1} bytes" in run("models").err
    assert replace in run("models").err and replace in look_at_models(Settings.from_env(os.environ)).detail
