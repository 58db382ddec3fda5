"""A child tied to its parent ends with its parent, whatever ends the parent."""

import ctypes
import os
import signal
import subprocess
import sys

import psutil
import pytest

from infra.parent_death import GONE, USAGE, tied_to_parent
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

only_linux = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "prctl"), reason="elsewhere the command merely runs")

PARENT_DEATH = str(ROOT / "infra" / "parent_death.py")


def test_the_command_takes_the_process_place() -> None:
    run = subprocess.run(
        tied_to_parent([sys.executable, "-c", "import os; print(os.getpid())"]), stdout=subprocess.PIPE, check=True
    )
    assert run.stdout.strip().isdigit()


def test_the_exit_code_is_the_commands() -> None:
    assert subprocess.run(tied_to_parent(["sh", "-c", "exit 7"])).returncode == 7


@only_linux
def test_a_killed_parent_takes_its_child_along() -> None:
    code = (
        "import subprocess, time\nfrom infra.parent_death import tied_to_parent\n"
        "child = subprocess.Popen(tied_to_parent(['sleep', '60']))\nprint(child.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        wait_until(lambda: child.name() == "sleep")
        parent.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs([child], timeout=60)
    assert gone
    assert not alive


@only_linux
def test_a_parent_that_died_before_the_child_was_tied_is_noticed() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    command = [sys.executable, PARENT_DEATH, f"--parent={dead.pid}", "sh", "-c", "exit 0"]
    assert subprocess.run(command).returncode == GONE


def test_it_wants_a_command() -> None:
    assert subprocess.run([sys.executable, PARENT_DEATH], stderr=subprocess.DEVNULL).returncode == USAGE


def test_the_environment_reaches_the_command() -> None:
    run = subprocess.run(
        tied_to_parent(["sh", "-c", 'echo "$COLOUR"']), env={**os.environ, "COLOUR": "blue"}, stdout=subprocess.PIPE
    )
    assert run.stdout == b"blue\n"
