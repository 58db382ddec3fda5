"""`stenopool demo`: the whole round once, on the real parts, in a home that is removed again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from cli.client import Client
from cli.embedded_notice import clear_voice
from cli.environment import settings
from cli.job_progress import follow
from cli.output import print_table, remark
from cli.webhook_receiver import Receiver
from infra.parent_death import tied_to_parent
from pipeline.errors import StenopoolError
from pipeline.lifecycle import JobStatus

# Words that the small embedded ear knows.
PARAGRAPH = (
    "People all over the country have been working for many years. I believe that people will use computers for a long "
    "time. Machines can listen to people. We have a lot of people in the company."
)
MODEL = "whisper-base"  # named, so that a demo never spends money at a configured provider; not installed, PocketSphinx stands in
WEBHOOK_SECONDS = 30.0
STOP_SECONDS = 10.0
LAST_WORDS = 2000  # bytes of the stack's log that are shown when it fails

app = typer.Typer(add_completion=False)


class DemoFailed(StenopoolError):
    """A step of the demo did not work."""

    code = "demo_failed"


class Steps:
    """What each step took, for the table at the end."""

    def __init__(self) -> None:
        self.took: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step and measure it."""
        remark(f"• {name}")
        began = time.monotonic()
        yield
        self.took.append((name, time.monotonic() - began))

    def show(self) -> None:
        """The table."""
        rows = [(name, f"{seconds:.2f} s") for name, seconds in self.took]
        print_table(("step", "took"), [*rows, ("together", f"{sum(seconds for _, seconds in self.took):.2f} s")])


@app.command()
def demo(
    audio: Annotated[
        Path | None,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="A recording of your own.", show_default="spoken now"
        ),
    ] = None,
    *,
    model: Annotated[str, typer.Option(help="Who transcribes it; the default costs nothing.")] = MODEL,
) -> None:
    """Start everything, speak a paragraph, submit it as a job, receive the signed webhook, print subtitles, clean up.

    STENOPOOL_REDIS_URL, STENOPOOL_DATABASE_URL and STENOPOOL_STORAGE_URL are used where they are set.
    """
    signal.signal(signal.SIGTERM, _leave)
    settings()
    steps = Steps()
    with _home() as home, Receiver() as receiver:
        stack = _Stack(home)
        try:
            with steps.step("start API, workers and scheduler"):
                stack.start()
            with steps.step("make an API key"):
                key = stack.command("keys", "create", "--tier", "pro", "--balance", "10", "--name", "demo", "--json")
            with Client(stack.url, key["key"]) as client:
                _round(client, steps, audio or home / "paragraph.wav", model, receiver, speak=audio is None)
        except StenopoolError:
            stack.show_last_words()
            raise
        finally:
            with steps.step("stop and clean up"):
                stack.stop()
    remark("")
    steps.show()


def _leave(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _round(client: Client, steps: Steps, recording: Path, model: str, receiver: Receiver, *, speak: bool) -> None:
    """Speak → submit → follow → webhook → subtitles; the job is deleted at the end, also where the stack's parts are shared."""
    if speak:
        with steps.step("speak a paragraph"):
            asked = {**clear_voice(settings().load_catalog()), "input": PARAGRAPH, "response_format": "wav"}
            sound, _ = client.speech(asked)
            recording.write_bytes(sound)
            remark(f"  “{PARAGRAPH}”")
    with steps.step(f"upload {recording.name} as a job"):
        webhook = {"webhook.url": receiver.url, "webhook.secret": receiver.secret}
        job = client.submit(recording, {"model": model, **webhook})
        remark(f"  {job['id']} {job['status']}")
    try:
        with steps.step("transcribe"):
            job = _ended_well(follow(client, job["id"]))
        with steps.step("receive and verify the webhook"):
            _expect_event(client, receiver, job["id"])
        with steps.step("render the subtitles"):
            subtitles = client.transcript(job["id"], "srt")
        _show(job, subtitles)
    finally:
        with contextlib.suppress(StenopoolError):  # whatever went wrong before is what the user has to hear
            client.delete(job["id"])


def _ended_well(job: dict[str, Any]) -> dict[str, Any]:
    if job["status"] != JobStatus.COMPLETED:
        error = job.get("error") or {}
        raise DemoFailed(
            f"the job is {job['status']}: {error.get('message', 'no reason was given')}", **_code_of(error)
        )
    return job


def _code_of(error: dict[str, Any]) -> dict[str, str]:
    return {"code": error["code"]} if error.get("code") else {}


def _expect_event(client: Client, receiver: Receiver, job_id: str) -> None:
    event = receiver.wait(WEBHOOK_SECONDS)
    if event is None:
        tried = [attempt for message in client.deliveries(job_id) for attempt in message["attempts"]]
        raise DemoFailed(
            f"no webhook with a good signature within {WEBHOOK_SECONDS:.0f} s; attempts: {tried or 'none'}"
        )
    if event["data"]["id"] != job_id:
        raise DemoFailed(f"the webhook is about {event['data']['id']}, not about {job_id}")
    remark(f"  {event['type']} {event['id']}, signature verified")


def _show(job: dict[str, Any], subtitles: str) -> None:
    sound = job["progress"]["audio_seconds_total"]
    remark(f"  {sound} s of sound, heard by {job['model_used'] or 'nobody: no provider was asked'}\n")
    if subtitles.strip():
        typer.echo(subtitles.strip())
        sys.stdout.flush()
    else:
        typer.echo("No speech was found in this recording: the transcript is empty.")


class _Stack:
    """A `stenopool up` of our own, and the settings it runs with."""

    def __init__(self, home: Path) -> None:
        self._log = home / "demo.log"
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        allowed = " ".join(filter(None, (os.environ.get("STENOPOOL_OUTBOUND_ALLOW"), "127.0.0.0/8")))
        ours = {"STENOPOOL_HOME": str(home), "STENOPOOL_OUTBOUND_ALLOW": allowed}
        self._environ = {"STENOPOOL_LOG_LEVEL": "WARNING", **os.environ, **ours}
        self._process: subprocess.Popen[str] | None = None
        self._key_id: str | None = None

    def start(self) -> None:
        """Until it says that it is ready. Raises DemoFailed when it ends instead."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                tied_to_parent([sys.executable, "-P", "-m", "cli", "up", "--port", str(self._port)]),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a Ctrl-C is for the demo, which stops it in order
            )
        assert self._process.stdout is not None
        if not any("is ready" in line for line in self._process.stdout):
            raise DemoFailed("`stenopool up` ended before it was ready")

    def command(self, *words: str) -> dict[str, Any]:
        """Another `stenopool` command over the same home, and the JSON it prints."""
        run = subprocess.run(
            [sys.executable, "-P", "-m", "cli", *words], env=self._environ, capture_output=True, text=True, check=False
        )
        if run.returncode != 0:
            raise DemoFailed(f"`stenopool {words[0]}` failed: {run.stderr.strip()}")
        said: dict[str, Any] = json.loads(run.stdout)
        self._key_id = said.get("key_id", self._key_id)
        return said

    def stop(self) -> None:
        """Everything ended; where the database outlives us, the key is made worthless first."""
        if self._key_id is not None and self._environ.get("STENOPOOL_DATABASE_URL"):
            with contextlib.suppress(StenopoolError):
                self.command("keys", "revoke", self._key_id, "--json")
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def show_last_words(self) -> None:
        """The end of its log, so that a failure explains itself."""
        with contextlib.suppress(OSError):
            tail = self._log.read_bytes()[-LAST_WORDS:].decode(errors="replace").strip()
            if tail:
                remark(f"\nThe last words of the stack:\n{tail}\n")


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="stenopool-demo-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
