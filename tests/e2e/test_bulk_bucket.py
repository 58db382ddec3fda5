"""A bucket of 200 recordings, good, broken, twice, strangely named, while scheduler and worker are killed: nothing twice, nothing
half."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest
from sqlalchemy import update

from cli import exits
from infra.database.tables.batches import Batch
from tests.e2e.stack import Stack
from tests.support.recordings import short
from tests.support.repository import ROOT
from tests.support.s3_server import S3Server
from tests.support.waiting import wait_until

COUNT = 200
BROKEN, TWICE = (
    range(0, COUNT, 50),
    range(1, COUNT, 100),
)  # of them so many have no sound, and so many the bytes of another one
CPU, IO = 2, 8
BULK = "/v1/audio/bulk"


def name_of(n: int) -> str:
    """Spaces, emoji, 200 letters, folders, and equal stems."""
    kinds = (f"a b/{n} talk.wav", f"😀/{n}.wav", f"{'x' * 190}-{n}.wav", f"same/{n // 2}.{'wav' if n % 2 else 'mp3'}")
    return kinds[n // 2 % len(kinds)]


class Archive:
    """A bucket full of recordings, the processes that hear them, and what is said of it over HTTP."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.key = key = stack.services.accounts.create_key(stack.account)[0]
        self.http = httpx2.Client(
            base_url=f"http://127.0.0.1:{stack.port('api')}", headers={"authorization": f"Bearer {key}"}, timeout=120
        )
        self.said: dict[str, str] = {}
        self.s3 = boto3.client("s3")

    def fill(self) -> None:
        self.s3.create_bucket(Bucket="archive")
        for n in range(COUNT):
            spoken = short(n + 1 if n in TWICE else n)
            if n not in BROKEN:
                self.said[name_of(n)] = " ".join(spoken.words)
            sound = b"nobody hears anything in this" if n in BROKEN else spoken.wav
            self.s3.put_object(Bucket="archive", Key=f"in/{name_of(n)}", Body=sound)

    def start(self, *formats: str) -> str:
        asked = {
            "model": "paid",
            "input": {"uri": "s3://archive/in/"},
            "output": {"uri": "s3://archive/out/", "formats": list(formats)},
        }
        return str(self.http.post(BULK, json=asked).raise_for_status().json()["id"])

    def commanded(self, formats: str) -> int:
        """The exit code of `stenopool bulk` over the same places."""
        places = ("s3://archive/in/", "--output", "s3://archive/out/")
        server = ("--base-url", str(self.http.base_url), "--api-key", self.key)
        command = [sys.executable, "-P", "-m", "cli", "bulk", *places, "--model", "paid", "--format", formats]
        return subprocess.run([*command, *server], cwd=ROOT, timeout=600, check=False).returncode

    def shown(self, run: str) -> dict[str, Any]:
        return dict(self.http.get(f"{BULK}/{run}").raise_for_status().json())

    def ended(self, run: str) -> dict[str, Any]:
        wait_until(lambda: self.shown(run)["status"] in ("completed", "failed"), seconds=600, every=0.3)
        return self.shown(run)

    def until(self, run: str, completed: int) -> None:
        wait_until(lambda: self.shown(run)["counts"]["completed"] >= completed, seconds=600, every=0.1)

    def read(self, path: str) -> str:
        return str(self.s3.get_object(Bucket="archive", Key=f"out/{path}")["Body"].read().decode())

    def report(self) -> dict[str, dict[str, Any]]:
        return {one["source"]: one for one in map(json.loads, self.read("_report/report.jsonl").splitlines())}

    def texts(self, lines: dict[str, dict[str, Any]], shape: str) -> dict[str, str]:
        places = {
            source: output["path"]
            for source, one in lines.items()
            for output in one["outputs"]
            if output["format"] == shape
        }
        return {source: self.read(path).strip() for source, path in places.items()}


@pytest.fixture
def archive(tmp_path: Path, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    moto_s3.use(monkeypatch)
    grants = json.dumps([{"uri": "s3://archive/", "access": "read-write"}])
    stack = Stack(tmp_path, environ=moto_s3.environ, buckets=grants, cpu_processes=CPU, io_threads=IO)
    try:
        stack.start("api", "cpu-1", "io", "scheduler-1")
        made = Archive(stack)
        made.fill()
        yield made
        made.http.close()
    finally:
        stack.stop()


def test_an_archive_is_heard_once_whoever_dies(archive: Archive) -> None:
    stack, run = archive.stack, archive.start("text")
    archive.until(run, 30)
    stack.kill("scheduler-1")
    with stack.services.database.write() as session:
        session.execute(update(Batch).values(lease_until=1.0))  # its lease, which nobody need wait for
    stack.start("scheduler-2")
    for name, completed in (("cpu-1", 60), ("io", 90)):
        archive.until(run, completed)
        stack.kill(name)
        stack.bury()
        stack.start(f"{name}-again")
    done, lines = archive.ended(run), archive.report()
    good = COUNT - len(BROKEN)
    assert done["counts"] == {"total": COUNT, "completed": good, "skipped": 0, "failed": len(BROKEN)}
    assert archive.texts(lines, "text") == archive.said
    assert {one["error"]["code"] for one in lines.values() if one["state"] == "failed"} == {"unsupported_media"}
    heard = stack.calls()
    different = good - len(TWICE)
    assert len(heard) == different
    assert heard.total() <= different + CPU, "nothing again but what was in a call when its worker was killed"
    usage = archive.http.get("/v1/usage").raise_for_status().json()
    receipts = list(_receipts(archive))
    assert len(receipts) == different
    assert done["cost"]["captured"] == pytest.approx(sum(one["cost_usd"] for one in receipts))
    assert sum(one["cost"] for one in lines.values()) == pytest.approx(done["cost"]["captured"])
    assert usage["limits"]["stored_bytes"]["used"] < 5_000_000, "the copies of the recordings are gone"
    again = archive.ended(archive.start("text", "vtt"))
    assert (again["counts"]["completed"], again["cost"]["captured"]) == (good, 0)
    assert len(archive.texts(archive.report(), "vtt")) == good
    third = archive.ended(archive.start("text", "vtt"))
    assert third["counts"]["skipped"] == good
    assert archive.commanded("text,vtt") == exits.FAILED, "what is broken"
    assert stack.calls() == heard


def _receipts(archive: Archive) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        page = archive.http.get("/v1/receipts", params={"limit": "100", **after}).raise_for_status().json()
        yield from page["data"]
        if not page["has_more"]:
            return
        after = {"after": page["data"][-1]["id"]}
