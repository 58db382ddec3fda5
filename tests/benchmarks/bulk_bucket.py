"""The archive of `bulk_folder` in a bucket of a real server over HTTP, from where the server reads it itself."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from tests.benchmarks.bulk_folder import PATIENCE, Account, billed, checked, heard, killed, none, same
from tests.benchmarks.bulk_sounds import fill
from tests.benchmarks.report import Figure
from tests.e2e.stack import Stack
from tests.support.waiting import wait_until

BULK = "/v1/audio/bulk"
BUCKET = "archive"


class Run:
    """One bulk run of an account."""

    def __init__(self, account: Account, *formats: str) -> None:
        self.account = account
        asked = {
            "model": "paid",
            "input": {"uri": f"s3://{BUCKET}/in/"},
            "output": {"uri": f"s3://{BUCKET}/out/", "formats": list(formats)},
        }
        self.id = account.http.post(BULK, json=asked).raise_for_status().json()["id"]

    def shown(self) -> dict[str, Any]:
        return dict(self.account.http.get(f"{BULK}/{self.id}").raise_for_status().json())

    def done(self) -> int:
        return int(self.shown()["counts"]["completed"])

    def ended(self) -> dict[str, Any]:
        wait_until(lambda: self.shown()["status"] in ("completed", "failed"), seconds=PATIENCE, every=1)
        return self.shown()


def bucketed(stack: Stack, home: Path) -> Iterator[Figure]:
    """The scheduler is killed at a quarter, one worker at half, another one at three quarters."""
    archive, before, client = fill(home / "bucket", first=50_000), stack.calls(), boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in filter(Path.is_file, (home / "bucket").rglob("*")):
        client.put_object(Bucket=BUCKET, Key=f"in/{path.relative_to(home / 'bucket')}", Body=path.read_bytes())
    account, began, good = Account(stack, "bucket"), time.monotonic(), len(archive.said)
    run = Run(account, "text")
    for share, role in ((4, "scheduler"), (2, "cpu-1"), (4 / 3, "io")):
        wait_until(lambda share=share: run.done() > good / share, seconds=PATIENCE, every=1)
        killed(stack, role)
    captured = run.ended()["cost"]["captured"]
    yield Figure("bucket: files a second", f"{good / (time.monotonic() - began):.1f}")

    def read(path: str) -> str:
        return str(client.get_object(Bucket=BUCKET, Key=f"out/{path}")["Body"].read().decode())

    lines = {line["source"]: line for line in map(json.loads, read("_report/report.jsonl").splitlines())}
    yield from checked(archive, lines, read)
    yield from heard(stack.calls() - before)
    yield from billed(account, archive, sum(round(line["cost"] * 1e6) for line in lines.values()) / 1e6)
    yield Figure("bucket: cost as the run tells it", f"{captured:.6f} $")
    yield from later(account, good)


def later(account: Account, good: int) -> Iterator[Figure]:
    """The same words again send nothing; another format is written without hearing."""
    jobs, calls = account.jobs(), account.stack.calls()
    again = Run(account, "text").ended()
    yield same("second run: skipped", again["counts"]["skipped"], good)
    shapes = Run(account, "text", "vtt").ended()
    yield same("another format: files", shapes["counts"]["completed"], good)
    yield none("second run: jobs and calls", account.jobs() - jobs + (account.stack.calls() - calls).total())
