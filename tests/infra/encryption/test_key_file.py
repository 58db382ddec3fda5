"""Where keys come from."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.encryption.key_file import FILE, secret_keys
from infra.encryption.secret_box import new_key
from infra.settings import Settings
from pipeline.errors import InvalidRequest
from tests.support.repository import ROOT

POSTGRES = "postgresql://nobody@127.0.0.1/none"


def test_beside_sqlite_one_is_made_that_its_owner_alone_reads(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    made = secret_keys(settings)
    assert len(made) == 1 and secret_keys(settings) == made
    assert (settings.home / FILE).stat().st_mode & 0o777 == 0o600
    assert (settings.home / FILE).parent.stat().st_mode & 0o777 == 0o700
    assert [path for path in settings.home.rglob("*") if path.is_file()] == [settings.home / FILE]


def test_those_of_the_setting_come_first(tmp_path: Path) -> None:
    own = secret_keys(Settings(home=tmp_path))
    first, second = new_key(), new_key()
    assert secret_keys(Settings(home=tmp_path, secrets_key=f"{first}, {second}")) == (first, second, *own)


def test_one_that_is_given_makes_no_file(tmp_path: Path) -> None:
    key = new_key()
    assert secret_keys(Settings(home=tmp_path, secrets_key=key)) == (key,)
    assert not (tmp_path / FILE).exists()


def test_elsewhere_nothing_is_made(tmp_path: Path) -> None:
    assert secret_keys(Settings(home=tmp_path, database_url=POSTGRES)) == ()
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("wrong", ["secret", "a" * 44 + "b", "é"])
def test_what_is_no_key_is_refused_with_the_way_to_one(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(InvalidRequest, match="openssl rand -base64 32") as told:
        secret_keys(Settings(home=tmp_path, database_url=POSTGRES, secrets_key=wrong))
    assert wrong not in told.value.message
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(wrong)
    with pytest.raises(InvalidRequest, match=FILE):
        secret_keys(Settings(home=tmp_path))


@pytest.mark.processes
def test_processes_that_start_at_once_have_the_same_one(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from infra.encryption.key_file import secret_keys\n"
        "from infra.settings import Settings\n"
        f"print(secret_keys(Settings(home=Path({str(tmp_path)!r}))))"
    )
    starts = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert len({start.communicate(timeout=300)[0] for start in starts}) == 1
