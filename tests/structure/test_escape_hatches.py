"""Waivers of the linter, the type checker and the coverage meter are counted, and only get fewer."""

import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from tests.support.repository import FLOORS, ROOT

KINDS = {"noqa": r"#\s*noqa\b", "type: ignore": r"#\s*type:\s*ignore\b", "no cover": r"#\s*pragma:\s*no cover\b"}
TESTS = ("tests",)
COUNTS = {  # how many there are; tests are not type-checked
    FLOORS: {"noqa": 43, "type: ignore": 8, "no cover": 0},
    TESTS: {"noqa": 10, "type: ignore": 0, "no cover": 0},
}


def waivers(path: Path) -> Counter[str]:
    with path.open("rb") as lines:
        comments = [one.string for one in tokenize.tokenize(lines.readline) if one.type == tokenize.COMMENT]
    return Counter(kind for kind, pattern in KINDS.items() for comment in comments if re.search(pattern, comment))


@pytest.mark.parametrize("folders", COUNTS, ids=["product", "tests"])
def test_waivers_only_get_fewer(folders: tuple[str, ...]) -> None:
    found = Counter[str]()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            found += waivers(path)
    for kind, count in COUNTS[folders].items():
        assert found[kind] <= count, (
            f"{found[kind]} times {kind!r}, not {count}: write it without, or take another one away"
        )
        assert found[kind] == count, f"{found[kind]} times {kind!r}, not {count}: well done; lower the number in COUNTS"
