"""The menu: quick, complete, and clear about what went wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli import exits, main
from pipeline.errors import (
    DamagedMedia,
    DatabaseUnavailable,
    ModelNotFound,
    ProviderRefused,
    StenopoolError,
    Unauthenticated,
    WrongState,
)
from tests.cli.conftest import Run

HEAVY = ("sqlmodel", "sqlalchemy", "celery", "boto3", "numpy", "fastapi", "httpx2", "alembic", "redis")


@pytest.mark.processes
def test_the_menu_loads_no_library_that_it_does_not_need() -> None:
    code = (
        "import sys\nfrom cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stderr.strip() == "[]"
    assert all(f" {name} " in seen.stdout for name in main.COMMANDS)


def test_there_is_a_file_for_every_command() -> None:
    folder = Path(main.__file__).parent
    assert [name for name in main.COMMANDS if not (folder / f"{name}.py").is_file()] == []


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("stenopool 0.")


def test_unknown_command_is_a_usage_error(run: Run) -> None:
    said = run("transscribe")
    assert said.code == exits.USAGE
    assert "transcribe" in said.err


def test_a_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_LEASE_SECONDS", "soon")
    said = run("keys", "list")
    assert said.code == exits.BAD_INPUT
    assert said.err.startswith("stenopool: STENOPOOL_LEASE_SECONDS: ")
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DamagedMedia(), exits.BAD_INPUT),
        (ModelNotFound(), exits.NOT_THERE),
        (WrongState(), exits.NOT_THERE),
        (Unauthenticated(), exits.NOT_ALLOWED),
        (DatabaseUnavailable(), exits.AWAY),
        (ProviderRefused(), exits.FAILED),
        (exits.ApiAway(), exits.AWAY),
        (exits.ApiRefused(status=404), exits.NOT_THERE),
        (exits.ApiRefused(status=401), exits.NOT_ALLOWED),
        (exits.ApiRefused(status=400), exits.BAD_INPUT),
        (exits.ApiRefused(status=429), exits.AWAY),
        (exits.ApiRefused(status=503), exits.AWAY),
        (StenopoolError(), exits.FAILED),
    ],
    ids=repr,
)
def test_exit_codes(error: StenopoolError, code: int) -> None:
    assert exits.exit_code(error) == code


def test_models_say_who_stands_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = {model["id"]: model for model in run("models", "--json").json}
    assert offered["whisper-1"]["served_by"] == "pocketsphinx (stands in)"
    monkeypatch.setenv("STENOPOOL_EMBEDDED_ENGINES", "off")
    offered = {model["id"]: model for model in run("models", "--json").json}
    assert not offered["whisper-1"]["available"]
    assert offered["espeak-ng"]["available"]
    assert "whisper-1" in run("models").out


def test_models_say_when_one_ends_and_who_answers_then(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_OPENAI_API_KEY", "sk-upstream")
    offered = {model["id"]: model for model in run("models", "--json").json}
    assert [route["model"] for route in offered["whisper-1"]["successors"]] == ["gpt-transcribe"]
    assert offered["whisper-1"]["shutdown_date"] == "2027-02-26"
    assert offered["espeak-ng"]["successors"] == [] and offered["espeak-ng"]["shutdown_date"] is None
    assert "2027-02-26, gpt-transcribe" in run("models").out


def test_prices_are_exact_text(run: Run) -> None:
    assert run("prices").code == exits.NOT_THERE, "there is no database yet, in which ratios are"
    run("keys", "create")
    prices = {model["id"]: model["prices"] for model in run("prices", "--json").json}
    assert prices["whisper-1"] == {"audio_minute": "0.006"}
    assert "0.006 / audio minute" in run("prices").out


def test_a_broken_catalog_is_bad_input(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text("[models.x\n")
    monkeypatch.setenv("STENOPOOL_CATALOG", str(tmp_path / "mine.toml"))
    assert run("models").code == exits.BAD_INPUT
