"""docs/security.md: every promise names the tests that keep it, they are there, and no promise stands outside a table."""

import ast
import re
from functools import cache

import pytest

from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
DOORS = dict(part.split("\n", maxsplit=1) for part in PAGE.split("\n## ")[1:])
HEAD = "| promised | kept by |\n|---|---|\n"
PROMISE = re.compile(r"\| (\S.*) \| (`[^|`]+`(?:, `[^|`]+`)*) \|")


def blocks(door: str) -> list[str]:
    return [block.strip() for block in DOORS[door].split("\n\n") if block.strip()]


def promises(door: str) -> list[str]:
    return blocks(door)[1].removeprefix(HEAD).splitlines()


def kept_by(row: str) -> list[str]:
    found = PROMISE.fullmatch(row)
    assert found, f"write `| what is promised | `tests`, … |`, not {row!r}"
    return re.findall(r"`([^`]+)`", found[2])


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_there_are_doors() -> None:
    assert len(DOORS) >= 8


@pytest.mark.parametrize("door", DOORS)
def test_a_door_has_who_comes_what_is_promised_and_what_is_not(door: str) -> None:
    who, table, *rest = blocks(door)
    assert who.startswith("**Who comes:** ")
    assert table.startswith(HEAD)
    assert [block[:17] for block in rest] == ["**Not promised:**"], "promises stand in the table, each with its tests"


@pytest.mark.parametrize("door", DOORS)
def test_every_promise_names_tests_that_exist(door: str) -> None:
    rows = promises(door)
    assert rows
    for test in (test for row in rows for test in kept_by(row)):
        path, _, name = test.partition("::")
        assert (ROOT / "tests" / path).is_file(), f"{door}: there is no tests/{path}"
        assert name.startswith("test_"), f"{door}: name the test, not only the file: {test}"
        assert name in functions_of(path), f"{door}: there is no tests/{test}"
