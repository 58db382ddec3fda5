"""Batches of BATCH_LINES lines (1,000) in each dialect by the OpenAI client for Python, the server killed in the midst of each."""

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx2
import openai
import pytest

from tests.benchmarks.report import Figure
from tests.e2e.stack import Stack
from tests.support.accounts import rich
from tests.support.recordings import Recording, short
from tests.support.s3_server import moto_server
from tests.support.waiting import wait_until

LINES = int(os.environ.get("BATCH_LINES", "1000"))
ONLY = os.environ.get("BATCH_DIALECTS", "")  # of DIALECTS, with commas; all
SOUNDS = 20  # different ones of each dialect, heard again and again
PATIENCE = 100_000  # seconds
AGAIN = 4  # the two processes of each of two workers were in a call
ROLES = ("api", "cpu-1", "cpu-2", "io", "scheduler")
HEARD, TRANSLATED, JOBS, SPOKEN = (f"/v1/audio/{name}" for name in ("transcriptions", "translations", "jobs", "speech"))
DIALECTS = {  # who writes it so: (where the sound is said to be, method, endpoint)
    "file_id": ("file_id", "POST", HEARD),
    "upload_id": ("upload_id", "POST", HEARD),
    "s3_uri": ("s3_uri", "POST", HEARD),
    "url (Groq)": ("url", "POST", HEARD),
    "file_url (vLLM, Mistral)": ("file_url", "POST", HEARD),
    "file (Together)": ("file", "FILE", HEARD),
    "translations": ("file_id", "POST", TRANSLATED),
    "jobs": ("file_id", "POST", JOBS),
    "speech": ("", "POST", SPOKEN),
}


@dataclass(frozen=True)
class Place:
    """Where a recording lies, by how each dialect says it."""

    recording: Recording
    said: dict[str, str]


class BreakingOnce(httpx2.HTTPTransport):
    """A way to the server on which the second part of each upload breaks off, once."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = self.broken = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/parts"):
            self.parts += 1
            if self.parts % 3 == 2:
                self.broken += 1
                raise httpx2.ConnectError("broken off", request=request)
        return super().handle_request(request)


def run() -> Iterator[Figure]:
    """A whole installation, a bucket that it may read, and one batch after the other."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells of every request
    with tempfile.TemporaryDirectory() as folder, moto_server() as s3, pytest.MonkeyPatch.context() as patch:
        s3.use(patch)
        boto3.client("s3").create_bucket(Bucket="sounds")
        grants = json.dumps([{"uri": "s3://sounds/", "access": "read"}])
        stack = Stack(Path(folder), environ=s3.environ, buckets=grants, cpu_processes=2, sweep_seconds=1.0)
        try:
            stack.start(*ROLES)
            yield from batches(stack)
        finally:
            stack.stop()


def batches(stack: Stack) -> Iterator[Figure]:
    key = stack.services.accounts.create_key(rich(stack.services.database, "batches"))[0]
    way, url = BreakingOnce(), f"http://127.0.0.1:{stack.port('api')}/v1"
    with openai.OpenAI(base_url=url, api_key=key, http_client=httpx2.Client(transport=way, timeout=120)) as client:
        wanted = [name for name in DIALECTS if not ONLY or name.split()[0] in ONLY.split(",")]
        for number, dialect in enumerate(wanted):
            places = [placed(client, short(70_000 + SOUNDS * number + n), DIALECTS[dialect][0]) for n in range(SOUNDS)]
            yield from batch(stack, client, dialect, places)
    if way.broken:
        yield Figure("parts that broke off and were sent again", str(way.broken))


def placed(client: openai.OpenAI, recording: Recording, how: str) -> Place:
    """The recording where this dialect would have it."""
    wav, said = recording.wav, dict[str, str]()
    if how == "file_id":
        said[how] = client.files.create(file=("a.wav", wav), purpose="user_data").id
    elif how == "upload_id":
        said[how] = client.uploads.upload_file_chunked(
            file=wav,
            filename="a.wav",
            bytes=len(wav),
            mime_type="audio/wav",
            purpose="user_data",
            part_size=len(wav) - 9,
        ).id
    elif how:
        where = {"Bucket": "sounds", "Key": f"{recording.digest}.wav"}
        boto3.client("s3").put_object(**where, Body=wav)
        said[how] = "s3://{Bucket}/{Key}".format(**where)
        if how != "s3_uri":
            said[how] = boto3.client("s3").generate_presigned_url("get_object", Params=where)
    return Place(recording, said)


def batch(stack: Stack, client: openai.OpenAI, dialect: str, places: list[Place]) -> Iterator[Figure]:
    """One batch to its end, over a server of which API, scheduler and a worker are killed at a third."""
    _, method, url = DIALECTS[dialect]
    lines = [
        {"custom_id": f"r-{n}", "method": method, "url": url, "body": _body(places[n % SOUNDS])} for n in range(LINES)
    ]
    before, began = stack.calls(), time.monotonic()
    file = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    endpoint: Any = url
    made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")

    def shown() -> Any:
        return client.batches.retrieve(made.id)

    wait_until(lambda: shown().request_counts.completed > LINES // 3, seconds=PATIENCE, every=1)
    for role in ("scheduler", "api", "cpu-1"):
        stack.kill(role)
    stack.bury()
    stack.start("api", "scheduler", "cpu-1")
    wait_until(lambda: shown().status in ("completed", "failed", "expired"), seconds=PATIENCE, every=1)
    took, told = time.monotonic() - began, client.files.content(shown().output_file_id or "").text
    answers = {one["custom_id"]: one["response"]["body"] for one in map(json.loads, told.splitlines())}
    exact = sum(_is_right(answers.get(f"r-{n}"), url, places[n % SOUNDS]) for n in range(LINES))
    yield Figure(
        f"{dialect}: answered exactly, by custom_id",
        str(exact),
        str(LINES),
        target=f"{LINES / took:.1f} /s",
        good=exact == LINES == len(told.splitlines()),
    )
    calls = stack.calls() - before
    again = calls.total() - LINES
    yield Figure(f"{dialect}: heard again", str(again), target=f"<= {AGAIN}", good=0 <= again <= AGAIN)


def _body(place: Place) -> dict[str, Any]:
    if place.said:
        return {"model": "oracle", **place.said}
    return {"model": "voice", "voice": "alloy", "input": " ".join(place.recording.words)}


def _is_right(body: Any, url: str, place: Place) -> bool:
    if url in (JOBS, SPOKEN):
        return bool(body) and body["status"] == "completed"
    return bool(body) and body["text"].split() == list(place.recording.words)
