"""Tests side by side: how many workers there are, and which tests go to which.

A file stays on one worker, with its fixtures, in its order. Whole runs are distributed; a run of single files is not, so that a
debugger and what is printed stay within reach. Every worker has servers, folders, databases and ports of its own.
"""

import os
from collections import Counter
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

WORKERS_PER_CORE = 2  # many tests wait for processes, for leases to end or for retries to come
MOST_WORKERS = 8


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: none for a run of single files, else as many as keep the machine busy; `-n logical`: one for each core."""
    if config.option.numprocesses == "logical":
        return cores()
    if config.args and all(".py" in argument for argument in config.args):
        return 0
    return min(MOST_WORKERS, WORKERS_PER_CORE * cores())


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Files in the order of the collection, which is the one below."""
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The files that wait for processes are the longest: they begin first, each beside one that only computes."""
    if not hasattr(config, "workerinput"):
        return
    places: dict[Path, int] = {}
    seen: Counter[bool] = Counter()
    for item in items:
        if item.path not in places:
            waits = "e2e" in item.path.parts
            places[item.path] = 2 * seen[waits] + (not waits)
            seen[waits] += 1
    items.sort(key=lambda item: places[item.path])
