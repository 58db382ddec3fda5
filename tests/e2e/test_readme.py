"""What the README prints works as printed, and the command's other roles against a running installation."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import exits
from tests.e2e.processes import Marked, marked
from tests.e2e.test_up import Up
from tests.support.ports import free_port
from tests.support.recordings import short
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as place:
        yield place


def stenopool(place: Marked, *words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "cli", *map(str, words)]
    return subprocess.run(command, env={**place.environ, **environ}, capture_output=True, text=True, timeout=300)


def block(language: str, containing: str) -> str:
    """The README's one block of that language that contains the text."""
    (found,) = (code for code in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in code)
    return found


def test_as_printed(place: Marked, tmp_path: Path) -> None:
    up = Up(place, tmp_path, free_port())
    created = stenopool(place, "keys", "create", "--tier", "pro", "--balance", "10")
    key = created.stdout.strip()
    where = {**place.environ, "OPENAI_BASE_URL": f"{up.url}/v1", "OPENAI_API_KEY": key}

    curls = block("sh", "audio/speech").replace("127.0.0.1:8000", f"127.0.0.1:{up.port}").replace("sk-…", key)
    if shutil.which("curl"):
        shell = subprocess.run(
            ["sh", "-ec", curls], env=where, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert shell.returncode == 0, shell.stderr
        assert "1\n00:00:00," in shell.stdout
    else:
        (tmp_path / "talk.mp3").write_bytes(short(5).wav)

    python = block("python", "OpenAI()")
    told = subprocess.run(
        [sys.executable, "-c", python], env=where, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert told.returncode == 0, told.stderr
    text, rest = told.stdout.split("\n", maxsplit=1)
    assert text.strip()
    assert rest.startswith("WEBVTT")

    clients(place, up, key, tmp_path)
    assert up.stop(15) == 0
    assert stenopool(place, "worker", "--role", "io", "--check").returncode == exits.AWAY


def clients(place: Marked, up: Up, key: str, tmp_path: Path) -> None:
    """`jobs submit --wait`, the health checks and the doctor, as an operator runs them beside a running `up`."""
    (tmp_path / "mine.wav").write_bytes(short(6).wav)
    asked = ("jobs", "submit", tmp_path / "mine.wav", "--model", "oracle", "--wait")
    client = {"STENOPOOL_BASE_URL": up.url, "STENOPOOL_API_KEY": key}
    done = stenopool(place, *asked, **client)
    assert (done.returncode, done.stdout.split()) == (0, list(short(6).words)), done.stderr
    assert stenopool(place, *asked, "--format", "srt", "--json", **client).stdout.count("\n") == 1
    (tmp_path / "notes.mp3").write_text("This is no music.")
    failed = stenopool(place, "jobs", "submit", tmp_path / "notes.mp3", "--wait", **client)
    assert failed.returncode == exits.BAD_INPUT
    assert failed.stderr.strip().endswith("[unsupported_media]")
    for role in (("worker", "--role", "cpu"), ("worker", "--role", "io"), ("scheduler",)):
        assert stenopool(place, *role, "--check").returncode == 0
    examined = json.loads(stenopool(place, "doctor", "--json", "--port", up.port).stdout)
    states = {check["name"]: check["state"] for check in examined["checks"]}
    assert examined["ok"]
    assert states["port"] == "warning"
    assert set(states.values()) <= {"ok", "warning"}
