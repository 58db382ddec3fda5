"""What a neighbour feels of each attack of one tenant or stranger: median and worst, beside quiet, on a fresh server each."""

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.parent_death import tied_to_parent
from infra.settings import Settings
from tests.benchmarks.attacks import ATTACKS, BOUNDARY, LOCAL
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording, repeated
from tests.benchmarks.upload_memory import free_port, wait_until_healthy
from tests.support.accounts import rich
from tests.support.receiver import Receiver, receiving
from tests.support.repository import ROOT

QUIET = float(os.environ.get("NEIGHBOURS_QUIET", "8"))  # seconds
SECONDS = float(os.environ.get("NEIGHBOURS_SECONDS", "20"))  # of each attack
WARM = 3.0  # seconds that an attack gets to unfold
PATIENCE = 60.0  # seconds for an answer, and for the last webhooks
TIMES = 3.0
SHORTEST = 0.01  # seconds: what came at once has no ratio
CHUNK = 1.0  # seconds for what no engine is needed for
CLIP = "Good morning to all of you."
LONG = (
    "It was a bright cold day in the middle of the year, and everybody who could walk went out to see the river. "
    "The old bridge had been painted green, which nobody liked, and the ferry did not run before noon. "
    "Two boys were selling apples from a cart, while their sister counted the coins and wrote them down in a book. "
    "Far away one heard a train, and somebody said that it would rain on Thursday, as it had in the week before. "
    "In the evening the lamps were lit, and those who had come on foot looked for a place in one of the boats."
)
CATALOG = """
[providers.oracle]

[providers.pocketsphinx]

[providers.whisper-base]
kind = "faster_whisper"
model = "{ear}"

[models.whisper-base]
tasks = ["transcription"]
routes = [{{ provider = "whisper-base", model = "whisper-base" }}]

[models.voice]
tasks = ["speech"]
routes = [{{ provider = "oracle", model = "oracle" }}]
"""
Step = Callable[[], float]


@dataclass
class Felt:
    """Latencies in seconds, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.seconds:
            return "none"
        return f"{statistics.median(self.seconds):.2f}/{max(self.seconds):.2f} s"


@dataclass(frozen=True)
class Neighbour:
    """A tenant who goes about his business: looks at pages, has clips transcribed, submits jobs and is told of their end."""

    port: int
    key: str
    clip: bytes  # for jobs
    said: bytes  # for the shared engine
    receiver: Receiver
    ended: dict[str, float] = field(default_factory=dict)  # job -> when that was seen

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """The body of a good answer. Raises RuntimeError for any other, and OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"authorization": f"Bearer {self.key}", "content-type": kind})
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path.partition('?')[0]}: {answer.status} {content[:80]!r}")
        return content

    def upload(self, path: str, sound: bytes, **fields: str) -> bytes:
        part = '--{}\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
        parts = [(part.format(BOUNDARY, name, "") + f"{value}\r\n").encode() for name, value in fields.items()]
        parts += [part.format(BOUNDARY, "file", '; filename="clip.wav"').encode(), sound]
        body = b"".join(parts) + f"\r\n--{BOUNDARY}--\r\n".encode()
        return self.ask("POST", path, body, f"multipart/form-data; boundary={BOUNDARY}")

    def page(self) -> float:
        """A list of his jobs, and whether the server is well."""
        began = time.monotonic()
        self.ask("GET", "/v1/audio/jobs?limit=1")
        self.ask("GET", "/healthz")
        return time.monotonic() - began

    def answer(self) -> float:
        """A clip of a second at the shared engine."""
        began = time.monotonic()
        self.upload("/v1/audio/transcriptions", self.said, model=LOCAL)
        return time.monotonic() - began

    def job(self) -> float:
        """The same as a job, from its submission to its end."""
        began = time.monotonic()
        hook = {"webhook[url]": self.receiver.url, "webhook[events]": "audio.job.completed"}
        job = json.loads(self.upload("/v1/audio/jobs", self.clip, model="oracle", **hook))
        while job["status"] not in ("completed", "failed", "expired", "cancelled"):
            if time.monotonic() - began > PATIENCE:
                raise RuntimeError(f"the job is still {job['status']} after {PATIENCE:g} s")
            job = json.loads(self.ask("GET", f"/v1/audio/jobs/{job['id']}?wait=5"))
        self.ended[job["id"]] = time.time()
        return time.monotonic() - began


def repeat(step: Step, seconds: float, pause: float = 0.1) -> Felt:
    """The step again and again for so long."""
    felt, until = Felt(), time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            felt.seconds.append(step())
        except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
            felt.errors.append(f"{type(error).__name__}: {error}"[:160])
            time.sleep(1)
        time.sleep(pause)
    return felt


def live(neighbour: Neighbour, seconds: float) -> dict[str, Felt]:
    """All that he does, side by side, and how long after a job's end its webhook came."""
    neighbour.ended.clear()
    steps = {"pages": neighbour.page, "answers": neighbour.answer, "jobs": neighbour.job}
    with ThreadPoolExecutor(len(steps)) as threads:
        calls = {name: threads.submit(repeat, step, seconds) for name, step in steps.items()}
        felt = {name: call.result() for name, call in calls.items()}
    felt["webhooks"] = webhooks(neighbour)
    return felt


def webhooks(neighbour: Neighbour) -> Felt:
    """Those of the jobs that have ended; one that has not come in time is lost."""
    felt, until = Felt(), time.monotonic() + PATIENCE
    waiting = dict(neighbour.ended)
    while waiting and time.monotonic() < until:
        for came, (_, body) in zip(neighbour.receiver.at, list(neighbour.receiver.got), strict=False):
            event = json.loads(body)
            if (at := waiting.pop(event["data"]["id"], None)) is not None:
                felt.seconds.append(max(0.0, came - at))
        time.sleep(0.1)
    felt.errors += [f"no webhook of {job_id}" for job_id in waiting]
    return felt


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[int, str, str]]:
    """`stenopool up` in a home of its own; its port, and keys of the neighbour and of the attacker."""
    (folder / "catalog.toml").write_text(CATALOG.format(ear=Settings.from_env(os.environ).models / "whisper-base"))
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "STENOPOOL_HOME": str(folder),
        "STENOPOOL_CATALOG": str(folder / "catalog.toml"),
        "STENOPOOL_OUTBOUND_ALLOW": "127.0.0.0/8",
        "XDG_RUNTIME_DIR": str(folder),
    }
    with contextlib.closing(Database(f"sqlite:///{folder}/stenopool.db")) as database:
        database.migrate()
        keys = [Accounts(database).create_key(rich(database, name))[0] for name in ("neighbour", "attacker")]
    command = tied_to_parent([sys.executable, "-m", "cli", "up", "--port", str(port)])
    with (folder / "up.log").open("wb") as log:
        child = subprocess.Popen(command, env=environ, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until_healthy(port)
        yield port, keys[0], keys[1]
    finally:
        stop(child, 20)


def stop(child: subprocess.Popen[bytes], seconds: float = 5) -> None:
    """Ask it to end, and see that it does."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextlib.contextmanager
def attack(name: str, port: int, key: str, sounds: Path) -> Iterator[None]:
    """Under way until the block ends."""
    command = [sys.executable, "-m", "tests.benchmarks.attacks", name, str(port), key, str(sounds)]
    child = subprocess.Popen(tied_to_parent(command), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    try:
        child.stdout.readline()
        time.sleep(WARM)
        yield
    finally:
        stop(child)
        child.stdout.close()


def window(neighbour: Neighbour, sounds: Path) -> float:
    """How long the shared engine takes for some 30 s of sound, the piece that may be before the neighbour's."""
    return replace(neighbour, said=(sounds / "window.wav").read_bytes()).answer()


def compared(name: str, quiet: dict[str, Felt], felt: dict[str, Felt], allowance: float) -> Iterator[Figure]:
    """A line for each thing he does: median and worst, beside the same in quiet."""
    for what, now in felt.items():
        before = quiet[what]
        more = allowance if what in ("answers", "jobs") else CHUNK
        worst, bound = max(now.seconds, default=PATIENCE), TIMES * max(before.seconds, default=0.0) + more
        errors = f", {len(now.errors)} errors" if now.errors else ""
        yield Figure(
            f"{name}: {what}, {len(now.seconds)} times{errors}",
            str(now),
            f"quiet {before}",
            worst / max([*before.seconds, SHORTEST]),
            f"<= {bound:.1f} s",
            not now.errors and bool(now.seconds) and worst <= bound,
        )
        for error in now.errors[:2]:
            print(f"      {error}", file=sys.stderr, flush=True)


def beside(name: str, sounds: Path) -> Iterator[Figure]:
    """One attack on a fresh server."""
    with (
        tempfile.TemporaryDirectory() as home,
        receiving() as receiver,
        server(Path(home)) as (port, key, attacker),
    ):
        clip, said = ((sounds / name).read_bytes() for name in ("clip.wav", "said.wav"))
        neighbour = Neighbour(port, key, clip, said, receiver)
        neighbour.answer()  # the engine is warm
        allowance = window(neighbour, sounds)
        quiet = live(neighbour, QUIET)
        with attack(name, port, attacker, sounds):
            felt = live(neighbour, SECONDS)
        yield from compared(name, quiet, felt, allowance)


def make_sounds(folder: Path) -> None:
    """The neighbour's clip, a window's worth, and the attackers' long ones."""
    oracle_recording(folder, seconds=1.0, style="natural", suffixes=["wav"])["wav"].rename(folder / "clip.wav")
    minute = oracle_recording(folder, seconds=60, style="natural", suffixes=["mp3"])["mp3"]
    repeated(minute, 20).rename(folder / "long.mp3")
    for name, text in (("said.wav", CLIP), ("window.wav", LONG), ("window.mp3", LONG)):
        speak = ["speak", text, "--format", name[-3:], "--output", str(folder / name)]
        subprocess.run([sys.executable, "-m", "cli", *speak], cwd=ROOT, check=True, capture_output=True)
    repeated(folder / "window.mp3", 22).rename(folder / "eleven.mp3")


def run() -> Iterator[Figure]:
    wanted = os.environ.get("NEIGHBOURS", "").split() or list(ATTACKS)
    with tempfile.TemporaryDirectory() as name:
        make_sounds(Path(name))
        for attacked in wanted:
            yield from beside(attacked, Path(name))
