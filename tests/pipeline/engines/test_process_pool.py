"""Engine processes: warm, bounded, replaced when they die, and never older than their parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import billiard
import psutil
import pytest

from pipeline.concurrency.shares import Owner, work_for
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.engines.process_pool import EnginePool
from pipeline.errors import EngineLost, ProviderBusy, ProviderError
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

CALCULATOR = "tests.pipeline.engines.engine_targets:Calculator"


@pytest.fixture
def pool() -> Iterator[EnginePool]:
    with EnginePool(EngineSpec("calculator", CALCULATOR, (2,), processes=2)) as pool:
        yield pool


def is_gone(pid: int) -> bool:
    """A zombie has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_gone(pid: int) -> None:
    wait_until(lambda: is_gone(pid))


def until_written(path: Path) -> str:
    return wait_until(lambda: path.exists() and path.read_text())


def test_an_engine_stays_warm(pool: EnginePool) -> None:
    assert [pool.call("add", timeout=60) for _ in range(3)] == [2, 4, 6]


def test_large_messages_pass_both_ways(pool: EnginePool) -> None:
    data = os.urandom(5_000_000)
    assert pool.call("echo", data, timeout=60) == data


def test_no_more_engines_than_allowed_and_both_at_work(pool: EnginePool) -> None:
    with ThreadPoolExecutor(6) as threads:
        pids = set(threads.map(lambda _: pool.call("nap", 0.1, timeout=60), range(12)))
    assert len(pids) == 2


def test_one_owners_many_calls_let_another_ones_pass(tmp_path: Path) -> None:
    """T11: forty long files of one account make another's clip wait for one piece of work, not for all."""

    def work(owner: str) -> list[str]:
        work_for(Owner(owner))
        return pool.call("remember", owner, timeout=60)

    with EnginePool(EngineSpec("calculator", CALCULATOR, processes=1)) as pool, ThreadPoolExecutor(20) as threads:
        started, go = tmp_path / "started", tmp_path / "go"
        first = threads.submit(pool.call, "hold_until", str(go), str(started), timeout=500)
        until_written(started)
        archive = [threads.submit(work, "archive") for _ in range(15)]
        wait_until(lambda: pool.shares.waiting() == 15)
        clip = threads.submit(work, "clip")
        wait_until(lambda: pool.shares.waiting() == 16)
        go.touch()
        order = max((call.result() for call in (clip, *archive)), key=len)
        first.result()
    assert order.index("clip") <= 1


def test_an_engines_exception_is_its_callers_and_the_engine_lives_on(pool: EnginePool) -> None:
    pool.call("add", timeout=60)
    with pytest.raises(ProviderError) as failure:
        pool.call("fail", timeout=60)
    assert "vendor" not in failure.value.message
    assert "a vendor's own words" in str(failure.value.__cause__), "for the log"
    with pytest.raises(ProviderError):
        pool.call("unsendable", timeout=60)
    assert pool.call("add", timeout=60) == 4


def test_an_engine_that_dies_is_replaced(pool: EnginePool) -> None:
    before = pool.call("pid", timeout=60)
    with pytest.raises(EngineLost) as failure:
        pool.call("die", timeout=60)
    assert failure.value.retryable
    assert failure.value.details == {"provider": "calculator"}
    assert pool.call("pid", timeout=60) != before


def test_an_engine_that_died_while_idle_is_replaced_unnoticed(pool: EnginePool) -> None:
    before = pool.call("pid", timeout=60)
    os.kill(before, signal.SIGKILL)
    until_gone(before)
    assert pool.call("pid", timeout=60) != before


def test_an_engine_that_overruns_is_stopped(pool: EnginePool) -> None:
    before = pool.call("pid", timeout=60)
    with pytest.raises(EngineLost):
        pool.call("nap", 60, timeout=0.2)
    until_gone(before)
    assert pool.call("pid", timeout=60) != before


def test_an_engine_that_cannot_be_made() -> None:
    with (
        EnginePool(EngineSpec("broken", "tests.pipeline.engines.engine_targets:Broken", processes=1)) as pool,
        pytest.raises(ProviderError),
    ):
        pool.call("anything", timeout=60)


def test_waiting_for_a_free_engine_has_an_end(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with (
        EnginePool(EngineSpec("calculator", CALCULATOR, processes=1, patience_s=0.05)) as pool,
        ThreadPoolExecutor(1) as threads,
    ):
        holder = threads.submit(pool.call, "hold_the_gil", 60, str(started), timeout=60)
        until_written(started)
        with pytest.raises(ProviderBusy):
            pool.call("add", timeout=60)
        pool.close()  # stops the engine at work as well
        assert isinstance(holder.exception(timeout=60), EngineLost)
        with pytest.raises(EngineLost):
            pool.call("add", timeout=60)


def test_close_ends_every_process() -> None:
    pool = EnginePool(EngineSpec("calculator", CALCULATOR, processes=2))
    pid = pool.call("pid", timeout=60)
    pool.close()
    pool.close()
    assert not psutil.pid_exists(pid)


PARENT = f"""
import os, sys
from pipeline.concurrency.shares import Owner, work_for
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.engines.process_pool import EnginePool
pool = EnginePool(EngineSpec("calculator", {CALCULATOR!r}, processes=1))
pool.call("add", timeout=60)
if sys.argv[2] == "forked":            # a fork keeps every descriptor that only an exec would close
    if os.fork() == 0:
        open(sys.argv[1] + ".sibling", "w").write(str(os.getpid()))
        __import__("time").sleep(60)
        os._exit(0)
pool.call("hold_the_gil", 60, sys.argv[1], timeout=90)
"""


@pytest.mark.parametrize("siblings", ["alone", "forked"])
def test_an_engine_dies_with_its_parent_even_while_it_holds_the_gil(tmp_path: Path, siblings: str) -> None:
    started = tmp_path / "started"
    parent = subprocess.Popen([sys.executable, "-W", "ignore", "-c", PARENT, str(started), siblings], cwd=ROOT)
    sibling = None
    try:
        engine = int(until_written(started))
        if siblings == "forked":
            sibling = int(until_written(Path(f"{started}.sibling")))
        assert psutil.pid_exists(engine)
        parent.kill()
        parent.wait()
        until_gone(engine)
        assert sibling is None or psutil.pid_exists(sibling)
    finally:
        parent.kill()
        if sibling:
            os.kill(sibling, signal.SIGKILL)


def _ask_in_a_worker(answers: billiard.Queue) -> None:
    with EnginePool(EngineSpec("calculator", CALCULATOR, processes=1)) as pool:
        answers.put(pool.call("add", timeout=60))


def test_works_inside_a_daemonic_worker_of_celery() -> None:
    """Celery's prefork children are billiard's daemons, which plain multiprocessing forbids to have children."""
    context = billiard.get_context("spawn")
    answers = context.Queue()
    worker = context.Process(target=_ask_in_a_worker, args=(answers,), daemon=True)
    worker.start()
    try:
        assert answers.get(timeout=60) == 1
    finally:
        worker.join(60)
        answers.close()
        answers.join_thread()


FORKING = f"""
import os
from pipeline.concurrency.shares import Owner, work_for
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.engines.process_pool import EnginePool
pool = EnginePool(EngineSpec("calculator", {CALCULATOR!r}, processes=1))
print(pool.call("pid", timeout=60), flush=True)
child = os.fork()
print(pool.call("pid", timeout=60), flush=True)
pool.close()
if child:
    os.waitpid(child, 0)
"""


def test_a_pool_survives_a_fork_in_both_processes() -> None:
    """A pool that was warm before a fork starts its own engine in the child, and the parent keeps its own."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    before, *after = run.stdout.split()
    assert before in after
    assert len(set(after)) == 2
    assert not run.stderr


def test_a_quick_call_has_a_process_of_its_own_beside_those_that_take_long(tmp_path: Path) -> None:
    """T11: what cannot be cut into turns lets a clip pass all the same."""
    started = tmp_path / "started"
    spec = EngineSpec("calculator", CALCULATOR, processes=1, patience_s=60, quick=10.0)
    with EnginePool(spec) as pool, ThreadPoolExecutor(2) as threads:
        archive = threads.submit(pool.call, "hold_the_gil", 60, str(started), timeout=90, cost=45.0)
        until_written(started)
        waiting = threads.submit(pool.call, "pid", timeout=60, cost=11.0)
        wait_until(lambda: pool.shares.waiting() == 1)
        quick = {pool.call("pid", timeout=60, cost=10.0) for _ in range(3)}
        assert len(quick) == 1 and not archive.done() and not waiting.done()
        pool.close()
        assert isinstance(archive.exception(60), EngineLost) and isinstance(waiting.exception(60), EngineLost)
