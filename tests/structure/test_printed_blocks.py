"""Every fenced block of every page is run by a test that is named above it, or stands in one table with the reason why not."""

import ast

import pytest

from tests.support.printed import BLOCK, LINES_NOT_RUN, NOT_RUN, PAGES, Block, blocks
from tests.support.repository import ROOT


def excused(block: Block) -> list[str]:
    return [why for page, begins, why in NOT_RUN if block.page == page and block.code.startswith(begins)]


def strings(runner: str) -> list[str]:
    """The longer texts that stand in a test file."""
    tree = ast.parse((ROOT / runner).read_text("utf-8"))
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in found if len(text) > 4]


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.name)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    told = f"{block.name}: name the test above it (<!-- executed by tests/… -->), or give the reason in tests/support/printed.py"
    assert bool(block.runner) != bool(excused(block)), told


def test_whoever_is_said_to_run_a_block_takes_it() -> None:
    """By the mark, or by what stands in the block."""
    for block in blocks():
        if block.runner:
            read = strings(block.runner)
            by_mark = any(f"executed by {block.runner}" in text for text in read) or block.runner in read
            assert by_mark or any(text in block.code for text in read), f"{block.runner} does not know {block.name}"


def test_the_table_excuses_nothing_that_is_gone() -> None:
    gone = [
        row for row in NOT_RUN if not any(block.page == row[0] and block.code.startswith(row[1]) for block in blocks())
    ]
    assert gone == []
    lines = [line for block in blocks() if block.runner for line in block.code.splitlines()]
    assert [begins for begins in LINES_NOT_RUN if not any(line.startswith(begins) for line in lines)] == []


def test_no_fence_is_overlooked() -> None:
    for page in PAGES:
        content = (ROOT / page).read_text("utf-8")
        assert content.count("```") - content.count("````") == 2 * len(BLOCK.findall(content)), page
