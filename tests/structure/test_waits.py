"""No test guesses a time: it waits for what has to happen, and for long enough that only a fault can last longer."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

LEAST = 60  # seconds; anything shorter is a guess of how quick the machine is
WAITS = frozenset(
    {"wait", "join", "result", "exception", "communicate", "settimeout"}
)  # their first argument is a time
LIMITED = frozenset({"wait_until", "ended", "wait_gone"})  # their `seconds` are
SLEEPS = ("time.sleep(", "asyncio.sleep(", "anyio.sleep(")
HOME = ROOT / "tests" / "support" / "waiting.py"  # of `pause`, which says when to use it
TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if "benchmarks" not in path.parts and path != HOME]


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def limits(call: ast.Call) -> Iterator[float]:
    """The seconds that a call waits at most, where they are written there."""
    name = name_of(call)
    given = [
        word.value for word in call.keywords if word.arg == "timeout" or (word.arg == "seconds" and name in LIMITED)
    ]
    given += call.args[:1] if name in WAITS else call.args[1:2] if name in ("wait_for", "wait_procs") else []
    for value in given:
        if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
            yield value.value


def polls(tree: ast.AST) -> set[ast.AST]:
    """What stands in a loop that ends when something has become true."""
    return {node for loop in ast.walk(tree) if isinstance(loop, ast.While) for node in ast.walk(loop)}


def guesses(source: str) -> Iterator[str]:
    """What in a test file guesses a time, and what to do instead."""
    tree = ast.parse(source)
    polled = polls(tree)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, line = name_of(call), f"line {call.lineno}"
        if name in ("Timer", "call_later"):
            yield f"{line}: {name} hopes that something will have happened by then: wait for it, then act"
        if ast.unparse(call).startswith(SLEEPS) and call not in polled and ast.unparse(call.args[0]) != "0":
            yield f"{line}: sleep: use wait_until; or pause, where nothing can be waited for"
        if name == "wait" and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value).endswith("Event()"):
            yield f"{line}: an event that nobody sets is a sleep: use wait_until or pause"
        if any(1 < seconds < LEAST for seconds in limits(call)):
            yield f"{line}: a busy machine may take longer: wait for {LEAST} s and more, or, for what must not come, a second"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_time_is_guessed(path: Path) -> None:
    assert list(guesses(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "threading.Timer(0.3, delete).start()",
        "loop.call_later(0.3, delete)",
        "time.sleep(0.3)",
        "await asyncio.sleep(0.01)",
        "threading.Event().wait(0.5)",
        "assert done.wait(10)",
        "thread.join(5)",
        "call.result(timeout=30)",
        "httpx2.get(url, timeout=5)",
        "await asyncio.wait_for(task, 20)",
        "wait_until(ready, seconds=10)",
    ],
)
def test_guesses_are_found(source: str) -> None:
    assert len(list(guesses(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "while not done():\n    time.sleep(0.01)",
        "await asyncio.sleep(0)",
        "pause(0.2)",
        "wait_until(ready)",
        "done.wait()",
        "done.wait(60)",
        "', '.join(names)",
        "assert not done.wait(0.1)",
        "tones(seconds=7)",
    ],
)
def test_waiting_is_no_guess(source: str) -> None:
    assert list(guesses(source)) == []
