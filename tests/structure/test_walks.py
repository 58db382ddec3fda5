"""The walks and the glossary of docs/architecture.md: every file is there, and meets the one before it as the line says."""

import ast
import re
from pathlib import Path

import pytest

from infra.broker import TASKS
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
WALKS = ("One request, from socket to subtitles", "One job, from upload to webhook")
MOST_WORDS = 20


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]


def stops(title: str) -> list[tuple[str, str]]:
    """(file, the whole line) of each stop of a walk, in order."""
    numbered = re.split(r"^\d+\. ", section(title), flags=re.MULTILINE)[1:]
    return [(re.match(r"`([^`]+)`", line)[1], " ".join(line.split())) for line in numbered]


def imported(path: str) -> set[Path]:
    """The repository's files that this one imports."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            module = ROOT.joinpath(*name.split("."))
            found |= {module.with_suffix(".py"), module / "__init__.py"}
    return {file for file in found if file.exists()}


def meets(earlier: list[str], file: str, line: str) -> bool:
    """Whether the stops before lead here: by an import, a file that wires both, a loader, a message, or a row."""
    if wired := re.search(r"Wired by `([^`]+)`", line):
        return ROOT / file in imported(wired[1]) and (wired[1] in earlier or ROOT / earlier[-1] in imported(wired[1]))
    if loaded := re.search(r"Loaded by name in `([^`]+)`", line):
        loader, users = ROOT / loaded[1], [*earlier, "infra/wiring.py"]
        is_one = "import_module" in loader.read_text("utf-8") and (ROOT / file).parent == loader.parent
        return is_one and any(loader in imported(user) for user in users)
    if message := re.search(r"the message `([^`]+)`\.$", line):
        return message[1] in TASKS
    return "It finds the row in the database" in line or ROOT / file in imported(earlier[-1])


@pytest.mark.parametrize("walk", WALKS)
def test_every_stop_exists_and_follows_from_the_one_before(walk: str) -> None:
    path = stops(walk)
    assert len(path) > 10
    for number, (file, line) in enumerate(path):
        assert (ROOT / file).is_file(), f"docs/architecture.md, {walk}: there is no {file}"
        earlier = [stop for stop, _ in path[:number]]
        assert not earlier or meets(earlier, file, line), (
            f"docs/architecture.md: {earlier[-1]} does not lead to: {line}"
        )


def test_every_file_named_on_the_page_exists() -> None:
    named = re.findall(r"`((?:api|cli|infra|pipeline|workers|tests)/[\w/]+(?:\.py)?/?)`", PAGE)
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_glossary_is_short_and_every_word_is_used() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\*(?:, \*\*(.+?)\*\*)? \|", section("Glossary"), flags=re.MULTILINE)
    assert 10 < len(rows) <= MOST_WORDS
    product = "\n".join(
        path.read_text("utf-8").lower()
        for floor in ("api", "cli", "infra", "pipeline", "workers")
        for path in (ROOT / floor).rglob("*.py")
    )
    words = [word for row in rows for cell in row for word in cell.split(", ") if word]
    assert not [word for word in words if not re.search(rf"\b{word}", product)]
