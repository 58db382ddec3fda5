"""A role that is a fork: what it must have of its own, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli import forked_role
from cli.forked_role import CAN_FORK
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.skipif(not CAN_FORK, reason="only Linux forks roles")]

# A module that stands for a role: it says what it was given, and does as it is told.
ROLE = """
import atexit, json, os, signal, sys, threading, time
from pathlib import Path

told, act = Path(sys.argv[1]), sys.argv[2]
if __name__ == "__main__":
    facts = {
        "words": sys.argv[1:], "mark": os.environ.get("MARK"), "theirs": os.environ.get("THEIRS"),
        "stdin": os.read(0, 1).decode(), "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
        "leads": os.getpgid(0) == os.getpid(), "int": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "main": sys.modules["__main__"].__file__,
    }
    print("said on stdout", flush=True)
    if act == "code":
        atexit.register(lambda: told.with_suffix(".left").touch())
        threading.Thread(target=lambda: (time.sleep(0), told.with_suffix(".thread").touch())).start()
    told.with_suffix(".new").write_text(json.dumps(facts))
    told.with_suffix(".new").rename(told)
    if act == "code":
        raise SystemExit(3)
    if act == "fail":
        raise ValueError("on purpose")
    if act == "sleep":
        time.sleep(600)
"""
# A supervisor that forks one, with a file open and handlers of its own, and tells how it ended.
PARENT = """
import os, signal, sys
from cli.forked_role import fork_role

for number in (signal.SIGTERM, signal.SIGINT):  # whatever the shell that began all this has told to ignore
    signal.signal(number, lambda *_: None)
file = open(sys.argv[1])
role = fork_role("a_role", sys.argv[2:], {"MARK": "mine", "PATH": os.environ["PATH"]})
print(role.pid, flush=True)
print(role.wait(), flush=True)
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    (tmp_path / "a_role.py").write_text(ROLE)
    return tmp_path / "told.json"


@pytest.fixture
def parent(told: Path) -> Iterator["type[subprocess.Popen[str]]"]:
    started: list[subprocess.Popen[str]] = []

    def start(act: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "PYTHONPATH": f"{told.parent}{os.pathsep}{ROOT}", "THEIRS": "yes"}
        command = [sys.executable, "-c", PARENT, __file__, str(told), act]
        started.append(
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def pid(process: "subprocess.Popen[str]") -> int:
    assert process.stdout
    return int(process.stdout.readline())


def test_it_is_a_process_of_its_own_and_ends_as_any_does(parent, told: Path) -> None:
    out, err = parent("code").communicate(timeout=300)
    facts = json.loads(told.read_text())
    assert facts["words"] == [str(told), "code"]
    assert (facts["mark"], facts["theirs"]) == ("mine", None)
    assert (facts["stdin"], facts["open"][:3]) == ("", [0, 1, 2])
    assert len(facts["open"]) == 3, "what the supervisor has open is not its"
    assert facts["leads"] and facts["int"] and facts["term"]
    assert facts["main"] == str(told.parent / "a_role.py")
    assert out.splitlines()[1:] == ["3"], "its exit code; and stdout is the supervisor's alone"
    assert err == "said on stdout\n"
    assert told.with_suffix(".left").exists() and told.with_suffix(".thread").exists()


def test_what_nobody_thought_of_is_told_and_stays_below(parent, told: Path) -> None:
    out, err = parent("fail").communicate(timeout=300)
    assert out.splitlines()[1:] == ["1"]
    assert "ValueError: on purpose" in err


def test_it_dies_with_its_parent(parent, told: Path) -> None:
    process = parent("sleep")
    child = psutil.Process(pid(process))
    wait_until(told.exists)
    process.kill()
    assert psutil.wait_procs([child], 60)[1] == []


def test_a_signal_ends_it_and_ps_shows_what_it_is(parent, told: Path) -> None:
    process = parent("sleep")
    child = psutil.Process(pid(process))
    wait_until(told.exists)
    assert [word for word in child.cmdline() if word] == ["python", "-m", "a_role", str(told), "sleep"]
    child.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=300)
    assert out.strip() == str(-signal.SIGTERM)


def test_what_roles_import_is_there_before_they_are_forked() -> None:
    code = (
        "import sys\nfrom cli.forked_role import ROLES, load_roles\nload_roles()\n"
        "assert not set(ROLES) & set(sys.modules), 'each role runs that module itself'\n"
        "assert {'api.main', 'workers.main', 'workers.schedule'} <= set(sys.modules)\n"
        "import threading\nassert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, timeout=300)
    assert all(module.endswith(".__main__") for module in forked_role.ROLES)
