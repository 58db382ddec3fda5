"""`python -m api` as operators start and stop it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from infra.settings import Settings
from infra.wiring import build
from tests.api.conftest import CATALOG, JOBS, recording
from tests.support.accounts import rich
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


class Door:
    """The process, and a key for it."""

    def __init__(self, home: Path) -> None:
        (home / "catalog.toml").write_text(CATALOG)
        with build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as services:
            self.key, _ = services.accounts.create_key(rich(services.database, "x"))
        port, monitoring = free_port(), free_port()
        self.monitoring = f"http://127.0.0.1:{monitoring}"
        self.url = f"http://127.0.0.1:{port}"
        self.log = home / "api.log"
        environ = {
            "PATH": os.environ["PATH"],
            "STENOPOOL_HOME": str(home),
            "STENOPOOL_CATALOG": str(home / "catalog.toml"),
        }
        with self.log.open("wb") as log:
            listens = ["--port", str(port), "--metrics", f"127.0.0.1:{monitoring}"]
            self.process = subprocess.Popen([sys.executable, "-m", "api", *listens], cwd=ROOT, env=environ, stderr=log)
        wait_until(self.alive, seconds=60)

    def alive(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/healthz").status_code == 200
        except httpx2.HTTPError:
            return False

    def conversations(self) -> int:
        """Connections that are open now."""
        open_now = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(connection.status == psutil.CONN_ESTABLISHED for connection in open_now)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    opened = Door(tmp_path)
    yield opened
    if opened.process.poll() is None:
        opened.process.kill()
    opened.process.wait(10)


def test_it_stops_in_time_whatever_it_is_doing(door: Door) -> None:
    """A waiting poll gets its answer, a follower the end of its stream, a long transcription is given up."""
    sound = {"file": ("a.wav", recording()[0])}
    job = httpx2.post(f"{door.url}{JOBS}", headers=door.headers, data={"model": "oracle"}, files=sound).json()["id"]
    answers: dict[str, httpx2.Response | str] = {}

    def ask(name: str, method: str, path: str, **options: object) -> None:
        try:
            answers[name] = httpx2.request(method, door.url + path, headers=door.headers, timeout=60, **options)
        except httpx2.HTTPError as error:
            answers[name] = type(error).__name__

    slow = {"model": "oracle", "prompt": "oracle: latency=50"}
    asked = [
        threading.Thread(target=ask, args=("wait", "GET", f"{JOBS}/{job}?wait=55")),
        threading.Thread(target=ask, args=("follow", "GET", f"{JOBS}/{job}/events?stream=true")),
        threading.Thread(
            target=ask, args=("slow", "POST", "/v1/audio/transcriptions"), kwargs={"data": slow, "files": sound}
        ),
    ]
    for thread in asked:
        thread.start()
    wait_until(lambda: door.conversations() >= len(asked), seconds=20)
    door.process.send_signal(signal.SIGTERM)
    assert door.process.wait(15) == 0
    for thread in asked:
        thread.join(15)
    wait = answers["wait"]
    assert isinstance(wait, httpx2.Response) and wait.json()["status"] == "queued"
    follow = answers["follow"]
    assert isinstance(follow, httpx2.Response) and "event: created" in follow.text


def test_its_log_holds_request_ids_and_no_secrets(door: Door) -> None:
    headers = door.headers | {"X-Request-Id": "find-me"}
    httpx2.get(f"{door.url}{JOBS}?after=job_x&token=s3cr3t", headers=headers)
    httpx2.get(f"{door.url}/v1/a%0Ab", headers=headers)
    door.process.send_signal(signal.SIGINT)
    assert door.process.wait(15) == 0
    log = door.log.read_text()
    assert log.count("find-me") >= 2
    assert "s3cr3t" not in log
    assert door.key not in log
    assert "Traceback" not in log


def test_settings_that_make_no_sense_are_named(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "STENOPOOL_HOME": str(tmp_path), "STENOPOOL_MAX_UPLOAD_BYTES": "many"}
    run = subprocess.run(
        [sys.executable, "-m", "api"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 2
    assert run.stderr.startswith("STENOPOOL_MAX_UPLOAD_BYTES")


def test_metrics_and_details_have_a_door_of_their_own(door: Door) -> None:
    assert httpx2.get(f"{door.url}/v1/models", headers=door.headers).status_code == 200
    text = httpx2.get(f"{door.monitoring}/metrics").text
    assert 'http_server_request_duration_seconds_count{method="GET",route="/v1/models",status="200"} 1.0' in text
    assert httpx2.get(f"{door.monitoring}/status").json()["parts"]["database"]["ok"]
    assert httpx2.get(f"{door.monitoring}/v1/models", headers=door.headers).status_code == 404
