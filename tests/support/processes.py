"""The mark `processes`: a test that starts one has it, by itself, by a fixture or by its folder; the others cannot start any.

`make check` runs the tests without it. So that this stays a matter of minutes, an unmarked test fails at the first process that it
starts, in whichever run, and so does one whose code swallowed that failure.
"""

import functools
import multiprocessing.util
import os
import subprocess
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

MARK = "processes"
FIXTURES = {
    "postgres",
    "ceph_s3",
    "installation",
    "node_package",
    "recordings",
}  # known everywhere; others' tests say it themselves
WAYS = (
    (subprocess.Popen, "__init__"),
    (multiprocessing.util, "spawnv_passfds"),
    *((os, name) for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system")),
)


class Refused(BaseException):
    """Not an Exception: code that copes with a program that does not start does not cope with this."""


class _Watch:
    """Which unmarked test runs now, in this thread or in those it made, and what it tried."""

    def __init__(self) -> None:
        self.running: pytest.Item | None = None
        self.tried: list[str] = []

    def ask(self, way: str, given: object) -> None:
        if self.running is not None:
            self.tried.append(f"{way} in {threading.current_thread().name}: {given!r:.200}")
            raise Refused(f"a test without the mark `{MARK}` starts a process by {self.tried[-1]}")


_watch = _Watch()


def _asking(original: Callable[..., Any], way: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(*given: Any, **more: Any) -> Any:
        _watch.ask(way, given[1:] or given or more)
        return original(*given, **more)

    return start


def pytest_configure() -> None:
    for place, name in WAYS:
        setattr(place, name, _asking(getattr(place, name), f"{getattr(place, '__name__', place)}.{name}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts or FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(MARK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    return (yield from _watching(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    return (yield from _watching(item))


def _watching(item: pytest.Item) -> Generator[None, None, None]:
    if item.get_closest_marker(MARK):
        return (yield)
    _watch.running, _watch.tried = item, []
    try:
        return (yield)
    finally:
        _watch.running = None
        if _watch.tried:
            pytest.fail(f"not marked `{MARK}`, but it starts a process by {_watch.tried[0]}", pytrace=False)
