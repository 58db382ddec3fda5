"""Tests side by side: how many workers there are, and which tests go to which.

A file stays on one worker, with its fixtures, in its order. Whole runs are distributed; a run of single files is not, so that a
debugger and what is printed stay within reach. Every worker has servers, folders, databases and ports of its own.
"""

import os

import pytest
from xdist.scheduler import LoadFileScheduling

WORKERS_PER_CORE = 2  # many tests wait for processes, for leases to end or for retries to come
MOST_WORKERS = 8


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for a run of single files, else as many as keep the machine busy."""
    if config.args and all(".py" in argument for argument in config.args):
        return 0
    return min(MOST_WORKERS, WORKERS_PER_CORE * cores())


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Files in the order of the collection, which is the one below."""
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nobody waits for it at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not is_long(item))


def is_long(item: pytest.Item) -> bool:
    """Whether its file is among the long ones."""
    return "e2e" in item.path.parts
