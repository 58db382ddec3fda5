"""An archive of two hundred recordings by the jobs of a server, its command and its workers killed on the way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from sqlalchemy import select
from sqlmodel import col

from cli import exits
from infra.database.tables.jobs import Job
from tests.e2e.stack import Stack
from tests.support.accounts import rich
from tests.support.ports import free_port
from tests.support.recordings import Recording, short
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

FILES = 200
BROKEN = {
    "broken/text.wav": b"no sound " * 100,
    "broken/empty.wav": b"",
    "broken/cut.wav": short(1).wav[:30],
    "broken/x.mp3": b"\0" * 5000,
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack"), cpu_processes=2)
    try:
        made.start("api", "cpu-1", "cpu-2", "scheduler")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Recording]]:
    """A folder, and what its good recordings hold: two of them twice, four pairs of one stem, names of all kinds."""
    folder = tmp_path_factory.mktemp("archive")
    names = {_name(number): short(1000 + number) for number in range(FILES - len(BROKEN) - 2)}
    names |= {f"again/{number}.wav": short(1000 + number) for number in range(2)}
    for name, content in {**{name: one.wav for name, one in names.items()}, **BROKEN}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder, names


def _name(number: int) -> str:
    kinds = ("plain/{0}.wav", "with space/call {0}.wav", "🎧/ünï {0}.wav", "long/" + "x" * 196 + "{0:04}.wav")
    if number < 8:
        return f"stems/pair {number // 2}.{'wav' if number % 2 else 'mp3'}"
    return kinds[number % len(kinds)].format(number)


class Command:
    """`stenopool bulk` as a process of its own."""

    def __init__(self, stack: Stack, folder: Path, out: Path, account: str = "") -> None:
        self.stack, self.folder, self.out = stack, folder, out
        self.account = account or rich(stack.services.database, out.name)
        self.key = stack.services.accounts.create_key(self.account)[0]
        self.url = f"http://127.0.0.1:{stack.port('api')}"

    def start(self, *words: str, url: str | None = None) -> subprocess.Popen[str]:
        given = ("bulk", str(self.folder), "--output", str(self.out), "--model", "paid", *words)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.stack.home),
            "STENOPOOL_BASE_URL": url or self.url,
            "STENOPOOL_API_KEY": self.key,
        }
        command = [sys.executable, "-P", "-m", "cli", *given]
        return subprocess.Popen(
            command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *words: str, url: str | None = None) -> int:
        with self.start(*words, url=url) as process:
            _, told = process.communicate(timeout=600)
        assert "Traceback" not in told, told
        return process.returncode

    def written(self) -> int:
        return sum(1 for _ in self.out.rglob("*.txt"))

    def report(self) -> dict[str, dict[str, Any]]:
        lines = (self.out / "_report" / "report.jsonl").read_text("utf-8").splitlines()
        return {line["source"]: line for line in map(json.loads, lines)}

    def get(self, path: str) -> Any:
        answer = httpx2.get(self.url + path, headers={"authorization": f"Bearer {self.key}"}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def jobs(self) -> int:
        with self.stack.services.database.read() as session:
            return len(session.scalars(select(col(Job.id)).where(col(Job.account_id) == self.account)).all())

    def paid(self) -> float:
        return float(self.get("/v1/usage")["total"]["cost_usd"])


@pytest.fixture(scope="module")
def command(stack: Stack, good: tuple[Path, dict[str, Recording]], tmp_path_factory: pytest.TempPathFactory) -> Command:
    """One that has been through it: killed once, two workers killed under it, and begun again."""
    made = Command(stack, good[0], tmp_path_factory.mktemp("outputs"))
    with made.start("--format", "text") as first:
        wait_until(lambda: made.written() >= 20)
        stack.kill("cpu-1")
        stack.bury()
        stack.start("cpu-1")
        wait_until(lambda: made.written() >= 50)
        first.send_signal(signal.SIGKILL)
        first.communicate()
    with made.start("--format", "text") as second:
        wait_until(lambda: made.written() >= 120)
        stack.kill("cpu-2")
        stack.bury()
        stack.start("cpu-2")
        _, told = second.communicate(timeout=600)
    assert second.returncode == exits.FAILED, told
    assert "Traceback" not in told
    return made


def test_killed_on_the_way_nothing_is_heard_twice_and_no_file_is_half(
    stack: Stack, command: Command, good: tuple[Path, dict[str, Recording]]
) -> None:
    _, recordings = good
    lines = command.report()
    assert {name for name, line in lines.items() if line["state"] == "failed"} == set(BROKEN)
    told = {name: (lines[name]["error"]["code"], lines[name]["cost"], lines[name]["outputs"]) for name in BROKEN}
    assert told["broken/text.wav"] == ("unsupported_media", 0, []), "by its job, and"
    assert told["broken/empty.wav"] == ("empty_media", 0, []), "at the door, they read alike"
    assert {name for name, line in lines.items() if line["state"] == "completed"} == set(recordings)
    for name, recording in recordings.items():
        (output,) = lines[name]["outputs"]
        assert (command.out / output["path"]).read_text("utf-8").split() == list(recording.words), name
    assert not list(command.out.rglob("*.part"))
    once = {recording.digest for recording in recordings.values()}
    calls = {digest: count for digest, count in stack.calls().items() if digest in once}
    assert set(calls) == once
    assert sum(calls.values()) - len(once) <= 4, (
        "only what was in a call when its worker was killed: two of two processes"
    )
    assert command.jobs() == len(once) + sum(1 for name in BROKEN if lines[name]["job_id"])


def test_the_report_adds_up_to_what_the_account_has_paid(command: Command) -> None:
    summary = json.loads((command.out / "_report" / "summary.json").read_text())
    assert sum(round(line["cost"] * 1e6) for line in command.report().values()) == round(summary["cost_usd"] * 1e6)
    assert summary["cost_usd"] == pytest.approx(command.paid(), abs=1e-9)
    assert summary["cost_usd"] > 0


def test_a_second_run_sends_nothing_and_another_format_needs_no_server(stack: Stack, command: Command) -> None:
    jobs, calls = command.jobs(), stack.calls()
    nobody = f"http://127.0.0.1:{free_port()}"
    assert command.run("--format", "text", url=nobody) == exits.FAILED, "what is broken"
    assert command.run("--format", "vtt", url=nobody) == exits.FAILED
    assert sum(1 for _ in command.out.rglob("*.vtt")) == FILES - len(BROKEN)
    assert (command.jobs(), stack.calls()) == (jobs, calls)


def test_a_lost_report_is_found_again_by_the_jobs(stack: Stack, command: Command, tmp_path: Path) -> None:
    jobs, calls = command.jobs(), stack.calls()
    other = Command(stack, command.folder, tmp_path / "other", command.account)
    assert other.run("--format", "text", "--include", "/plain/**") == exits.OK
    assert other.written() > 0
    assert (command.jobs(), stack.calls()) == (jobs, calls)
    assert {line["cost"] for line in other.report().values()} == {
        line["cost"] for name, line in command.report().items() if name.startswith("plain/")
    }


def test_caps_and_a_dry_run_are_kept_by_the_bill(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.wav").write_bytes(short(3000 + number).wav)
    command = Command(stack, folder, tmp_path / "out")
    with command.start("--dry-run", "--json") as asked:
        told = json.loads(asked.communicate(timeout=600)[0])
    assert told["files"] == 8
    most = told["cost_usd"] * 0.6
    assert command.run("--format", "text", "--max-cost", f"{most:.6f}") == exits.CAPPED
    assert 0 < command.paid() <= most
    assert command.run("--format", "text") == exits.OK
    assert command.paid() == pytest.approx(told["cost_usd"], rel=0.02)
    truth = sum(line["duration"] for line in command.report().values())
    assert told["audio_seconds"] == pytest.approx(truth, abs=1e-9)


def test_a_wrong_key_stops_everything(stack: Stack, command: Command, tmp_path: Path) -> None:
    wrong = Command(stack, command.folder, tmp_path / "out")
    wrong.key = "sk-wrong"
    assert wrong.run("--force") == exits.NOT_ALLOWED
    assert {line["state"] for line in wrong.report().values()} == {"pending"}


def test_ctrl_c_leaves_at_once_and_says_how_to_go_on(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    recordings = [short(3500 + number) for number in range(20)]
    for number, recording in enumerate(recordings):
        (folder / f"{number}.wav").write_bytes(recording.wav)
    command, workers = Command(stack, folder, tmp_path / "out"), ("cpu-1", "cpu-2")
    for worker in workers:
        stack.freeze(worker)
    try:
        with command.start("--format", "text") as process:
            wait_until(lambda: command.jobs() > 0)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=600)
    finally:
        for worker in workers:
            stack.signal(worker, signal.SIGCONT)
    assert process.returncode == exits.INTERRUPTED, told
    assert "goes on" in told
    assert command.run("--format", "text") == exits.OK
    assert [stack.calls()[recording.digest] for recording in recordings] == [1] * len(recordings)


class Breaking(httpx2.HTTPTransport):
    """A way to the server on which the second part of an upload breaks off, once."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/parts"):
            self.parts += 1
            if self.parts == 2:
                raise httpx2.ConnectError("broken off", request=request)
        return super().handle_request(request)


def test_the_official_clients_batch_goes_on_over_a_server_that_was_killed(stack: Stack) -> None:
    recordings = [short(4000 + number) for number in range(24)]
    key = stack.services.accounts.create_key(rich(stack.services.database, "batch"))[0]
    way, url = Breaking(), f"http://127.0.0.1:{stack.port('api')}/v1"
    with openai.OpenAI(base_url=url, api_key=key, http_client=httpx2.Client(transport=way)) as client:
        lines = [_line(client, number, one.wav) for number, one in enumerate(recordings)]
        assert way.parts == 2 * len(recordings) // 2 + 1, "two for every second one, and one of them again"
        file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
        endpoint: Any = "/v1/audio/transcriptions"
        made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
        wait_until(lambda: _counts(client, made.id).completed >= 4)
        for role in ("scheduler", "api"):
            stack.kill(role)
        stack.bury()
        stack.start("api", "scheduler")
        wait_until(lambda: client.batches.retrieve(made.id).status == "completed")
        assert _counts(client, made.id).completed == len(recordings)
        told = client.files.content(client.batches.retrieve(made.id).output_file_id or "").text
    texts = {one["custom_id"]: one["response"]["body"]["text"].split() for one in map(json.loads, told.splitlines())}
    assert texts == {f"r-{number}": list(one.words) for number, one in enumerate(recordings)}
    assert [stack.calls()[one.digest] for one in recordings] == [1] * len(recordings)


def _line(client: openai.OpenAI, number: int, wav: bytes) -> str:
    """One by its file, the next by an upload in two parts."""
    if number % 2:
        file = client.files.create(file=("a.wav", wav), purpose="user_data")
        where = {"file_id": file.id}
    else:
        done = client.uploads.upload_file_chunked(
            file=wav,
            filename="a.wav",
            bytes=len(wav),
            mime_type="audio/wav",
            purpose="user_data",
            part_size=len(wav) - 9,
        )
        where = {"upload_id": done.id}
    body = {"model": "oracle", **where}
    return json.dumps({"custom_id": f"r-{number}", "method": "POST", "url": "/v1/audio/transcriptions", "body": body})


def _counts(client: openai.OpenAI, batch_id: str) -> Any:
    return client.batches.retrieve(batch_id).request_counts
