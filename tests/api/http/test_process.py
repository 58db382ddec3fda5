"""`python -m api` as operators start and stop it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from infra.settings import Settings
from infra.wiring import build
from tests.api.conftest import CATALOG, JOBS, recording
from tests.api.serving import received, until
from tests.support.accounts import rich
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


class Door:
    """The process, and a key for it."""

    def __init__(self, home: Path) -> None:
        self.calls = home / "calls"
        (home / "catalog.toml").write_text(CATALOG.replace("scripted = true", f'scripted = true\nlog = "{self.calls}"'))
        with build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as services:
            self.key, _ = services.accounts.create_key(rich(services.database, "x"))
        self.port, monitoring = free_port(), free_port()
        self.monitoring = f"http://127.0.0.1:{monitoring}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "api.log"
        environ = {
            "PATH": os.environ["PATH"],
            "STENOPOOL_HOME": str(home),
            "STENOPOOL_CATALOG": str(home / "catalog.toml"),
        }
        with self.log.open("wb") as log:
            listens = ["--port", str(self.port), "--metrics", f"127.0.0.1:{monitoring}"]
            self.process = subprocess.Popen([sys.executable, "-m", "api", *listens], cwd=ROOT, env=environ, stderr=log)
        wait_until(self.alive)

    def alive(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=60).status_code == 200
        except httpx2.HTTPError:
            return False

    def asking(self, path: str) -> socket.socket:
        """A connection on which this has been asked."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n\r\n".encode())
        return connection

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    opened = Door(tmp_path)
    yield opened
    if opened.process.poll() is None:
        opened.process.kill()
    opened.process.wait(300)


def test_it_stops_in_time_whatever_it_is_doing(door: Door) -> None:
    """A waiting poll gets its answer, a follower the end of its stream, a transcription that takes for ever is given up."""
    sound = {"file": ("a.wav", recording()[0])}
    slow = {"model": "oracle", "prompt": "oracle: until=never"}
    with httpx2.Client(base_url=door.url, headers=door.headers, timeout=120) as client, contextlib.ExitStack() as asked:
        job = client.post(JOBS, data={"model": "oracle"}, files=sound).json()["id"]
        hearing = asked.enter_context(ThreadPoolExecutor(1)).submit(
            client.post, "/v1/audio/transcriptions", data=slow, files=sound
        )
        wait_until(door.calls.exists)
        wait = asked.enter_context(door.asking(f"{JOBS}/{job}?wait=55"))
        follow = asked.enter_context(door.asking(f"{JOBS}/{job}/events?stream=true"))
        told = until(follow, b"event: created")  # the server has read what was asked before
        door.process.send_signal(signal.SIGTERM)
        assert door.process.wait(300) == 0
        assert b'"status":"queued"' in received(wait)
        assert (told + received(follow)).endswith(b"0\r\n\r\n")
        assert hearing.exception() or hearing.result().status_code == 503


def test_its_log_holds_request_ids_and_no_secrets(door: Door) -> None:
    headers = door.headers | {"X-Request-Id": "find-me"}
    httpx2.get(f"{door.url}{JOBS}?after=job_x&token=s3cr3t", headers=headers, timeout=60)
    httpx2.get(f"{door.url}/v1/a%0Ab", headers=headers, timeout=60)
    door.process.send_signal(signal.SIGINT)
    assert door.process.wait(300) == 0
    log = door.log.read_text()
    assert log.count("find-me") >= 2
    assert "s3cr3t" not in log
    assert door.key not in log
    assert "Traceback" not in log


def test_settings_that_make_no_sense_are_named(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "STENOPOOL_HOME": str(tmp_path), "STENOPOOL_MAX_UPLOAD_BYTES": "many"}
    run = subprocess.run(
        [sys.executable, "-m", "api"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 3
    told = json.loads(run.stderr)
    assert told["message"].startswith("STENOPOOL_MAX_UPLOAD_BYTES")
    assert told["level"] == "CRITICAL"


def test_a_database_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """It begins once the server is there, and says meanwhile what it waits for."""
    port, database = free_port(), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "STENOPOOL_HOME": str(tmp_path),
        "STENOPOOL_DATABASE_URL": f"postgresql://u:p@127.0.0.1:{database}/d",
    }
    log = tmp_path / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "--port", str(port)], cwd=ROOT, env=environ, stderr=errors
        )
    try:
        wait_until(lambda: "\n" in log.read_text())
        told = json.loads(log.read_text().splitlines()[0])
        assert told["message"].startswith(f"PostgreSQL is not running at 127.0.0.1 port {database}")
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(60)
    assert "Traceback" not in log.read_text()


def test_metrics_and_details_have_a_door_of_their_own(door: Door) -> None:
    assert httpx2.get(f"{door.url}/v1/models", headers=door.headers, timeout=60).status_code == 200
    text = httpx2.get(f"{door.monitoring}/metrics", timeout=60).text
    assert 'http_server_request_duration_seconds_count{method="GET",route="/v1/models",status="200"} 1.0' in text
    assert httpx2.get(f"{door.monitoring}/status", timeout=60).json()["parts"]["database"]["ok"]
    assert httpx2.get(f"{door.monitoring}/v1/models", headers=door.headers, timeout=60).status_code == 404
