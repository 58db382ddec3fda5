"""Without what Linux alone has, as on a Mac: what a first hour with it needs. `make elsewhere` runs all other tests so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.processes
ELSEWHERE = ROOT / "tests" / "support" / "elsewhere"


def run(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ELSEWHERE),
        "STENOPOOL_HOME": str(home / "data"),
        "STENOPOOL_MODELS": str(home / "no-models"),
    }
    command = [sys.executable, "-W", "error", *words]
    return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=500)


def test_nothing_of_linux_is_there(tmp_path: Path) -> None:
    code = """
import ctypes, os, psutil
assert not hasattr(os, "memfd_create") and not hasattr(os, "sched_getaffinity")
assert not hasattr(ctypes.CDLL(None), "prctl")
try:
    open("/proc/self/stat")
except FileNotFoundError:
    assert psutil.Process().cpu_times().user >= 0
    print("hidden")
"""
    assert run("-c", code, home=tmp_path).stdout == "hidden\n"


def test_speech_is_made_and_heard(tmp_path: Path) -> None:
    said = tmp_path / "said.mp3"
    spoken = run("-m", "cli", "speak", "We have a lot of people in the company.", "--output", str(said), home=tmp_path)
    assert spoken.returncode == 0, spoken.stderr
    heard = run("-m", "cli", "transcribe", str(said), "--json", home=tmp_path)
    assert heard.returncode == 0, heard.stderr
    assert "company" in json.loads(heard.stdout)["text"]


def test_a_job_goes_from_upload_to_webhook(tmp_path: Path) -> None:
    """API, workers, scheduler and a private Redis, as `up` has them."""
    ran = run("-m", "cli", "demo", home=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
