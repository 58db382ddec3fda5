"""What things are called: by words that a newcomer knows, and never by one that says nothing."""

import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import FLOORS, ROOT

FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]
PRIVATE = {"errand", "crew", "desk", "office", "telling", "underway", "bell", "tether", "guess", "spare", "timely"}
VAGUE = {"utils", "common", "helpers", "misc"}


def words(name: str) -> set[str]:
    """Split at `_` and at capitals, in the singular too: LeaseKeepers has lease, keepers and keeper."""
    found = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    return found | {word.removesuffix("s") for word in found} | {word.removesuffix("es") for word in found}


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as lines:
        yield from (
            (token.start[0], token.string) for token in tokenize.tokenize(lines.readline) if token.type == tokenize.NAME
        )


def test_no_private_words() -> None:
    """Words that only those knew who were there when they were chosen."""
    names = {path.relative_to(ROOT).as_posix() for floor in FLOORS for path in (ROOT / floor).rglob("*")}
    found = sorted(name for name in names if words(name) & PRIVATE and "__pycache__" not in name)
    found += [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in FILES
        for line, name in identifiers(path)
        if words(name) & PRIVATE
    ]
    assert not found, "say it in a word of the field instead:\n" + "\n".join(found)


def test_no_vague_or_shadowing_module_names() -> None:
    formats = ROOT / "pipeline" / "formats"  # plug-ins, called what the caller calls them
    names = {path.stem for path in FILES if path.parent != formats} - {"__init__", "__main__"}
    vague = sorted(names & (VAGUE | set(sys.stdlib_module_names)))
    assert not vague, f"say what is in {vague}; a module of the standard library has its name already"


@pytest.mark.parametrize("floor", FLOORS)
def test_no_two_names_differ_by_an_ending(floor: str) -> None:
    """Whoever looks for `speech` should not have to know whether it is in `speech`, `speeches` or `speaking`."""
    below = [path.relative_to(ROOT / floor).with_suffix("") for path in FILES if path.is_relative_to(ROOT / floor)]
    names = {part for path in below for part in path.parts}
    pairs = [(name, name + ending) for name in sorted(names) for ending in ("s", "es", "ing") if name + ending in names]
    assert not pairs, f"two names for one idea, or one name for two: {pairs}"
