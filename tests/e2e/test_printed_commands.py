"""The commands of README and docs, and the lines of Python in bulk.md, run as they are printed beside a running installation.

What stands for an id there (`acct_…`, `job_…`) is replaced by one, the server elsewhere by one that never answers, so that its job
can be cancelled; everything else is the reader's."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import httpx2
import numpy as np
import pytest

from infra.database.session import Database
from infra.keys.accounts import Accounts
from tests.e2e.conftest import Installation
from tests.e2e.test_examples import need
from tests.support.accounts import rich
from tests.support.fork_server import fork_server
from tests.support.printed import Block, printed_for
from tests.support.recordings import long, short, silence
from tests.support.s3_server import S3Server
from tests.support.sound_files import with_tracks
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes
PRINTED = printed_for("tests/e2e/test_printed_commands.py")
SHELL = [block for block in PRINTED if block.language == "sh"]
TALK = short(1).wav
RECORDINGS = (
    "talk.mp3",
    "talk.ogg",
    "interview.m4a",
    "interview.mp3",
    "call.mp3",
    "interviews/1.mp3",
    "interviews/2.wav",
)


@dataclass
class Desk:
    """A folder with what the commands read, the variables that they know, and what is put for an id."""

    folder: Path
    environ: dict[str, str]
    ids: Mapping[str, str]

    def run(self, script: str) -> None:
        """All of it; a command that fails is a failure."""
        for written, one in self.ids.items():
            script = script.replace(written, one)
        ran = subprocess.run(
            ["sh", "-exc", script], env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stderr + ran.stdout


@pytest.fixture(scope="module")
def desk(installation: Installation, moto_s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    need("curl")
    folder = tmp_path_factory.mktemp("desk")
    lay_out(folder)
    fill(moto_s3)
    known = {"STENOPOOL_BASE_URL": installation.url, "STENOPOOL_API_KEY": installation.key}
    with fork_server(folder) as programs, socket.create_server(("127.0.0.1", 0)) as silent:
        path = f"{programs}:{os.environ['PATH']}"
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        ids = known_ids(installation) | {"https://example.org/": address, "job_…": failed_job(installation)}
        yield Desk(folder, {**installation.environ, **moto_s3.environ, **known, "PATH": path}, ids)


def lay_out(folder: Path) -> None:
    (folder / "interviews").mkdir()
    for name in RECORDINGS:
        (folder / name).write_bytes(TALK)
    (folder / "talk.mp3").write_bytes(two_talks())
    (folder / "faint.wav").write_bytes(silence(2).wav)
    (folder / "call.wav").write_bytes(stereo())
    (folder / "call.raw").write_bytes(b"\xff" * 16_000)
    (folder / "film.mkv").write_bytes(with_tracks(folder, TALK, short(2).wav))
    (folder / "book.txt").write_text("one two three. four five six.")
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/audio/transcriptions",
        "body": {"model": "whisper-1", "url": "http://127.0.0.1:9/"},
    }
    (folder / "requests.jsonl").write_text(json.dumps(line))
    (folder / "interview.wav").write_bytes(TALK)


def two_talks() -> bytes:
    """One at the beginning, one after a minute and a half of silence, which costs nobody time."""
    samples, rate = heard()
    return wav(np.concatenate([samples, np.zeros(91 * rate, np.int16), samples]), 1, rate)


def stereo() -> bytes:
    samples, rate = heard()
    return wav(np.stack([samples, samples], axis=1), 2, rate)


def heard() -> tuple[np.ndarray[Any, np.dtype[np.int16]], int]:
    with wave.open(BytesIO(TALK)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()


def wav(samples: np.ndarray[Any, np.dtype[np.int16]], channels: int, rate: int) -> bytes:
    held = BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return held.getvalue()


def fill(server: S3Server) -> None:
    """The bucket `calls`, with two recordings."""
    login = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    with contextlib.closing(
        boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", **login)
    ) as client:
        client.create_bucket(Bucket="calls")
        for number in (1, 2):
            client.put_object(Bucket="calls", Key=f"2026/{number}.wav", Body=short(number).wav)


def known_ids(installation: Installation) -> dict[str, str]:
    """An account with a key that nobody else needs."""
    with contextlib.closing(Database(f"sqlite:///{installation.environ['STENOPOOL_HOME']}/stenopool.db")) as database:
        owner = rich(database, "of the documents")
        return {"acct_…": owner, "KEY_ID": Accounts(database).create_key(owner)[1].id}


def failed_job(installation: Installation) -> str:
    """One that its provider has refused half-way."""
    auth = {"Authorization": f"Bearer {installation.key}"}
    asked = {"model": "whisper-1", "prompt": "oracle: fail=9 error=refused"}
    with httpx2.Client(base_url=installation.url, headers=auth, timeout=60) as client:
        made = client.post("/v1/audio/jobs", data=asked, files={"file": ("talk.wav", long(45, 1).wav)}).json()["id"]
        wait_until(lambda: client.get(f"/v1/audio/jobs/{made}").json()["status"] == "failed")
    return str(made)


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_as_printed(block: Block, desk: Desk) -> None:
    desk.run(block.commands())


def test_the_lines_of_python(desk: Desk) -> None:
    lines = "".join(block.code for block in PRINTED if block.language == "python")
    told = "print(file.filename, upload.status, batch.endpoint)"
    code = f"import openai\nclient = openai.OpenAI()\n{lines}{told}\n"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=desk.environ, cwd=desk.folder, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["interview.m4a", "completed", "/v1/audio/transcriptions"]


def test_every_block_of_ours_is_of_a_kind_that_is_run() -> None:
    assert {block.language for block in PRINTED} == {"sh", "python"}
    assert len(SHELL) == 9
