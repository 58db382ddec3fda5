"""What the console ships that is not ours: nothing that is not named, pinned and licensed, and nothing else than was fetched."""

import hashlib
import tomllib

import pytest

from tests.support.repository import ROOT

FOLDER = ROOT / "api" / "console" / "static" / "vendor"
PARTS = tomllib.loads((FOLDER / "parts.toml").read_text("utf-8"))
MOST_BYTES = 600_000  # that the wheel may grow by all that the console is


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_what_was_fetched_and_has_its_licence_beside_it(name: str) -> None:
    part = PARTS[name]
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == part["sha256"], "run .ci/vendor"
    assert part["version"].count(".") == 2, "one version"
    licence = FOLDER / part["licence"]
    assert licence.name in PARTS or licence.name.endswith(".txt")
    assert len(licence.read_text("utf-8")) > 100


def test_nothing_else_is_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*PARTS, "parts.toml"}


def test_all_of_it_is_small() -> None:
    files = [
        path for path in (ROOT / "api" / "console").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
