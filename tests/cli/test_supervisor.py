"""The supervisor over small programs instead of roles."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli import supervisor as supervising
from cli.supervisor import Role, Supervisor
from cli.up import API_GRACE
from infra import embedded_redis
from infra.embedded_redis import URL_FILE, PrivateRedis
from tests.support.waiting import wait_until
from workers.main import GRACE, LAST_CALL

pytestmark = pytest.mark.processes

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); time.sleep(600)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(said: list[str]) -> Iterator["type[Supervisor]"]:
    made: list[Supervisor] = []

    def start(*programs: str) -> Supervisor:
        roles = [Role(f"role {n}", [sys.executable, "-c", program]) for n, program in enumerate(programs)]
        made.append(Supervisor(roles, redis=None, environ=os.environ, say=said.append))
        made[-1].start()
        return made[-1]

    yield start
    for supervisor in made:
        supervisor.stop()


def pid(supervisor: Supervisor, n: int = 0) -> int:
    process = supervisor.roles[n].process
    assert process is not None
    return process.pid


def test_a_role_that_dies_is_started_again(supervise, said: list[str]) -> None:
    supervisor = supervise(SLEEP, SLEEP)
    first, untouched = pid(supervisor), pid(supervisor, 1)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.tend() or supervisor.roles[0].deaths)
    assert said == ["role 0 ended by SIGKILL; starting it again in 0.5 s"]
    wait_until(lambda: supervisor.tend() or supervisor.roles[0].process)
    assert pid(supervisor) != first
    assert pid(supervisor, 1) == untouched


def test_one_that_keeps_dying_is_called_failing(supervise, said: list[str]) -> None:
    supervisor = supervise("raise SystemExit(3)")
    failing = wait_until(lambda: supervisor.tend() or supervisor.failing(2))
    assert failing is supervisor.roles[0]
    assert said[-1] == "role 0 ended with exit code 3; starting it again in 1 s"


def test_what_a_dead_role_leaves_behind_is_ended_with_it(supervise) -> None:
    supervisor = supervise(PARENT)
    family = wait_until(lambda: psutil.Process(pid(supervisor)).children())
    os.kill(pid(supervisor), signal.SIGKILL)
    wait_until(lambda: supervisor.tend() or supervisor.roles[0].deaths)
    assert psutil.wait_procs(family, 60)[1] == []


def test_stop_is_orderly_and_ends_the_stubborn_too(supervise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.supervisor.STOP_SECONDS", 0.5)
    supervisor = supervise(STUBBORN, SLEEP)
    processes = [psutil.Process(pid(supervisor, n)) for n in (0, 1)]
    supervisor.stop()
    assert psutil.wait_procs(processes, 60)[1] == []
    supervisor.stop()  # again: nothing to do


def test_a_stop_is_over_within_five_seconds_whoever_is_slow() -> None:
    assert max(GRACE + LAST_CALL, API_GRACE) < supervising.STOP_SECONDS, "what is in hand is given back before the KILL"
    assert supervising.STOP_SECONDS + embedded_redis.STOP_SECONDS <= 4.0, "a second is left for the processes to go"


def test_abandon_kills_and_does_not_even_reap(supervise) -> None:
    supervisor = supervise(STUBBORN)
    process = psutil.Process(pid(supervisor))
    supervisor.abandon()
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)


def test_its_output_goes_to_stderr(supervise, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sign = tmp_path / "done"
    supervisor = supervise(f"print('hello', flush=True); open({str(sign)!r}, 'w').close(); {SLEEP}")
    wait_until(sign.exists)
    supervisor.stop()
    out, err = capfd.readouterr()
    assert (out, err.strip()) == ("", "hello")


def test_a_redis_that_cannot_be_started_now_is_tried_again(tmp_path: Path, said: list[str]) -> None:
    redis, file = PrivateRedis(tmp_path), tmp_path / URL_FILE
    supervisor = Supervisor([], redis=redis, environ=os.environ, say=said.append)
    supervisor.start()
    try:
        file.unlink()
        file.mkdir()  # so that it cannot be written, as on a full disk
        assert redis.pid is not None
        os.kill(redis.pid, signal.SIGKILL)
        wait_until(lambda: supervisor.tend() or any("cannot be started" in one for one in said))
        assert redis.pid is None
        file.rmdir()
        wait_until(lambda: supervisor.tend() or (redis.pid is not None and file.is_file()))
    finally:
        supervisor.stop()
