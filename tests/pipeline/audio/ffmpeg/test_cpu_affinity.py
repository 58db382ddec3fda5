"""Where a program's threads may run; the kernel itself is asked."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipeline.audio.ffmpeg.cpu_affinity import keep_together

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="other systems have nothing to ask")


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.processes
def test_it_runs_in_batches(program: subprocess.Popen[bytes]) -> None:
    keep_together(program.pid)
    assert os.sched_getscheduler(program.pid) == os.SCHED_BATCH


@pytest.mark.processes
@pytest.mark.parametrize("many", [1, 2])
def test_of_few_processors_it_gets_one_in_turn(
    many: int, program: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = set(sorted(os.sched_getaffinity(0))[:many])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: few)
    given = []
    with monkeypatch.context() as watched:
        watched.setattr(os, "sched_setaffinity", lambda pid, processors: given.append((pid, processors)))
        for _ in few:
            keep_together(program.pid)
    assert {pid for pid, _ in given} == {program.pid}
    assert [len(processors) for _, processors in given] == [1] * len(few)
    assert set().union(*(processors for _, processors in given)) == few


@pytest.mark.processes
def test_of_many_it_may_use_all(program: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(program.pid)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    keep_together(program.pid)
    monkeypatch.undo()
    assert os.sched_getaffinity(program.pid) == before


@pytest.mark.processes
def test_one_that_has_ended_already_is_no_error(program: subprocess.Popen[bytes]) -> None:
    program.kill()
    program.wait()
    keep_together(program.pid)
