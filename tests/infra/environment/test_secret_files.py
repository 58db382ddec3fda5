"""Secrets by file, and what a start refuses of them."""

from pathlib import Path

import pytest

from infra.environment.secret_files import MOST_BYTES, SUFFIX
from infra.settings import PREFIX, SHORTEST_ADMIN_KEY, Settings, secret_variables
from pipeline.errors import InvalidRequest

LONG = "x" * SHORTEST_ADMIN_KEY
FITTING = {
    "STENOPOOL_ADMIN_KEY": LONG,
    "STENOPOOL_DATABASE_URL": "postgresql://u:p@h/n",
    "STENOPOOL_REDIS_URL": "redis://h",
}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(InvalidRequest) as refused:
        Settings.from_env(environ)
    return refused.value.message


@pytest.mark.parametrize("variable", secret_variables())
def test_every_secret_may_come_from_a_file(tmp_path: Path, variable: str) -> None:
    value = FITTING.get(variable, "a secret, 32 characters or more …")
    (tmp_path / "secret").write_text(f"{value}\n")
    by_file = Settings.from_env({variable + SUFFIX: str(tmp_path / "secret")})
    assert by_file.model_dump() == Settings.from_env({variable: value}).model_dump()
    assert getattr(by_file, variable.removeprefix(PREFIX).lower()) == value
    assert value not in repr(by_file)


def test_all_that_holds_keys_or_passwords_is_a_secret() -> None:
    named = {PREFIX + name.upper() for name in Settings.model_fields if name.endswith(("key", "pepper", "secret"))}
    assert set(secret_variables()) >= named | {"STENOPOOL_DATABASE_URL", "STENOPOOL_REDIS_URL"}


def test_so_may_the_keys_of_servers_that_the_catalog_adds(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text('[providers.mine]\nkind = "openai"\napi_key_env = "MY_SERVERS_KEY"\n')
    (tmp_path / "key").write_text("its key")
    environ = {"STENOPOOL_CATALOG": str(tmp_path / "catalog.toml"), "MY_SERVERS_KEY_FILE": str(tmp_path / "key")}
    assert Settings.from_env(environ).stock_providers["mine"] == {"api_key": "its key"}


def test_both_at_once_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(LONG)
    told = refusal({"STENOPOOL_ADMIN_KEY": LONG, "STENOPOOL_ADMIN_KEY_FILE": str(tmp_path / "key")})
    assert told == "STENOPOOL_ADMIN_KEY and STENOPOOL_ADMIN_KEY_FILE are both set: keep one of them."


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"two\nlines", b"x" * (MOST_BYTES + 1)])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    told = refusal({"STENOPOOL_KEY_PEPPER_FILE": str(tmp_path / "key")})
    assert told.startswith("STENOPOOL_KEY_PEPPER_FILE: ")
    assert "one line of text" in told


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        told = refusal({"STENOPOOL_KEY_PEPPER_FILE": str(path)})
        assert f"STENOPOOL_KEY_PEPPER_FILE: {path} cannot be read" in told


@pytest.mark.parametrize("key", ["secret", LONG[1:], LONG + "ü", LONG + "\x7f"])
def test_an_admin_key_that_is_easy_to_guess_or_no_header_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "key").write_text(key)
    for environ in ({"STENOPOOL_ADMIN_KEY": key}, {"STENOPOOL_ADMIN_KEY_FILE": str(tmp_path / "key")}):
        told = refusal(environ)
        assert told.startswith("STENOPOOL_ADMIN_KEY")
        assert key not in told
    assert "16 characters or more" in refusal({"STENOPOOL_ADMIN_KEY": key})
