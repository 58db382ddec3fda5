"""The embedded ear against bare batched faster-whisper: words, processor time, memory, and a short clip's answer.

`ENGINES=FOLDER python -m tests.benchmarks engines`: the folder holds recordings, each with what is said in it beside it as a .txt.
A second column is `ENGINES_WORDS` (3,000) words of this repository's documentation spoken by Kokoro, kept in the folder
`ENGINES_SPOKEN` where that is given. The product is a whole `stenopool up`; all its processes are counted.
"""

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.parent_death import tied_to_parent
from infra.settings import Settings
from pipeline.audio.decode import decode
from pipeline.provider_registry import ProviderRegistry
from pipeline.transcript import SAMPLE_RATE
from tests.benchmarks.neighbours import stop
from tests.benchmarks.real_speech import spelled
from tests.benchmarks.report import Figure
from tests.benchmarks.spoken_prose import write_spoken
from tests.benchmarks.upload_memory import free_port, wait_until_healthy
from tests.support.accounts import rich
from tests.support.repository import ROOT
from tests.support.word_error_rate import word_errors

WORDS = int(os.environ.get("ENGINES_WORDS", "3000"))
EAR, VOICE = "whisper-base", "kokoro"
WORSE, SLOWER, LATER = 0.5, 1.1, 1.2  # points of word errors, and times, that the product may be above the bare engine
IDLE_GB, WORKING_GB = 1.2, 1.8
CLIP_S, TRIES = 5, 7
GB = 10**9
TOLD = "Good morning, and welcome to all of you. This is what the machine says while it hears."


@dataclass
class Total:
    """Of several recordings."""

    wrong: int = 0
    words: int = 0
    processor: float = 0.0

    def add(self, text: str, heard: str, processor: float) -> None:
        said = spelled(text)
        self.wrong += word_errors(said, spelled(heard)).all
        self.words += len(said)
        self.processor += processor

    @property
    def rate(self) -> float:
        return 100 * self.wrong / max(1, self.words)


def recordings(folder: Path) -> list[Path]:
    """Each that has a text beside it."""
    sounds = [path for path in sorted(folder.iterdir()) if path.suffix in (".wav", ".flac", ".mp3")]
    return [path for path in sounds if path.with_suffix(".txt").exists()]


def seconds_of(path: Path) -> float:
    with decode(path) as decoding:
        return sum(len(block) for block in decoding) / 2 / SAMPLE_RATE


def beginning(path: Path) -> bytes:
    """Its first seconds as a WAV."""
    with decode(path) as decoding:
        pcm = b"".join(decoding)[: 2 * CLIP_S * SAMPLE_RATE]
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        written.writeframes(pcm)
    return file.getvalue()


def bare(model: Path, files: Sequence[Path]) -> list[dict[str, float | str]]:
    """What the engine alone makes of each."""
    command = [sys.executable, "-m", "tests.benchmarks.bare_whisper", str(model), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Product:
    """A `stenopool up` of our own: its answers, and what all its processes take."""

    def __init__(self, root: psutil.Process, sockets: Path, port: int, key: str) -> None:
        self._root = root
        self._sockets = sockets
        base, key_of = f"http://127.0.0.1:{port}/v1/audio/", {"Authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=base, headers=key_of, timeout=600)

    def processor(self) -> float:
        """Seconds so far, those of ended children included."""
        total = 0.0
        for process in self._living():
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system + used.children_user + used.children_system
        return total

    def memory(self) -> int:
        """Sum of PSS in bytes: what is shared counts once."""
        total = 0
        for process in self._living():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
        return total

    def hear(self, name: str, sound: bytes) -> str:
        asked = {"model": EAR, "timestamp_granularities[]": "word", "response_format": "verbose_json"}
        answer = self.http.post("transcriptions", data=asked, files={"file": (name, sound)})
        return str(answer.raise_for_status().json()["text"])

    def speak(self) -> None:
        self.http.post("speech", json={"model": VOICE, "input": TOLD, "voice": "alloy"}).raise_for_status()

    def work_off(self, path: Path) -> str:
        """As a job."""
        asked = {"model": EAR, "timestamp_granularities[]": "word"}
        job = (
            self.http.post("jobs", data=asked, files={"file": (path.name, path.read_bytes())}).raise_for_status().json()
        )
        while job["status"] in ("queued", "processing"):
            job = self.http.get(f"jobs/{job['id']}", params={"wait": 55}).raise_for_status().json()
        text: str = self.http.get(f"jobs/{job['id']}/transcript", params={"format": "text"}).raise_for_status().text
        return text

    def _living(self) -> list[psutil.Process]:
        """Its own, and the engines' host, which is nobody's child: it listens where only this product looks for it."""
        hosts = [one for one in psutil.process_iter() if _listens_in(one, self._sockets)]
        living = [one for root in (self._root, *hosts) for one in (root, *root.children(recursive=True))]
        return list({one.pid: one for one in living}.values())


def _listens_in(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return any(Path(one.laddr).is_relative_to(folder) for one in process.net_connections("unix") if one.laddr)
    return False


@contextlib.contextmanager
def product(folder: Path, settings: Settings) -> Iterator[Product]:
    """Ready, and both its models in use once."""
    port = free_port()
    given = {"STENOPOOL_HOME": str(folder), "STENOPOOL_MODELS": str(settings.models), "XDG_RUNTIME_DIR": str(folder)}
    with contextlib.closing(Database(f"sqlite:///{folder}/stenopool.db")) as database:
        database.migrate()
        key = Accounts(database).create_key(rich(database, "benchmark"))[0]
    command = tied_to_parent([sys.executable, "-m", "cli", "up", "--port", str(port)])
    with (folder / "up.log").open("wb") as log:
        child = subprocess.Popen(
            command, env={**os.environ, **given}, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until_healthy(port)
        yield Product(psutil.Process(child.pid), folder / "stenopool", port, key)
    finally:
        stop(child, 20)


def compared(name: str, ours: Total, theirs: Total, seconds: float) -> Iterator[Figure]:
    limit = theirs.rate + WORSE
    told = f"bare {theirs.rate:.1f} %"
    yield Figure(
        f"{name}: word errors of {ours.words} words",
        f"{ours.rate:.1f} %",
        told,
        None,
        f"<= {limit:.1f}",
        ours.rate <= limit,
    )
    ratio = ours.processor / theirs.processor
    told = f"bare {theirs.processor:.1f} s"
    yield Figure(
        f"{name}: processor for {seconds:.0f} s",
        f"{ours.processor:.1f} s",
        told,
        ratio,
        f"<= {SLOWER}",
        ratio <= SLOWER,
    )


def heard_by_both(name: str, files: Sequence[Path], up: Product, model: Path) -> Iterator[Figure]:
    ours, theirs = Total(), Total()
    for path, alone in zip(files, bare(model, files), strict=True):
        text, before = path.with_suffix(".txt").read_text("utf-8"), up.processor()
        ours.add(text, up.work_off(path), up.processor() - before)
        theirs.add(text, str(alone["text"]), float(alone["processor"]))
    yield from compared(name, ours, theirs, sum(map(seconds_of, files)))


def answered(clip: bytes, up: Product, model: Path, folder: Path) -> Iterator[Figure]:
    """A short clip by a warm engine, from the request to its answer."""
    path, took = folder / "clip.wav", list[float]()
    path.write_bytes(clip)
    alone = statistics.median(float(one["seconds"]) for one in bare(model, [path] * TRIES))
    for _ in range(TRIES):
        began = time.monotonic()
        up.hear("clip.wav", clip)
        took.append(time.monotonic() - began)
    ours = statistics.median(took)
    ratio = ours / alone
    yield Figure(
        f"a clip of {CLIP_S} s, synchronous",
        f"{ours:.2f} s",
        f"bare {alone:.2f} s",
        ratio,
        f"<= {LATER}",
        ratio <= LATER,
    )


def at_work(files: Sequence[Path], clip: bytes, up: Product) -> int:
    """The most memory that was seen while it heard a job and a clip, and spoke."""
    works = [
        threading.Thread(target=up.work_off, args=(max(files, key=lambda path: path.stat().st_size),)),
        threading.Thread(target=up.hear, args=("clip.wav", clip)),
        threading.Thread(target=up.speak),
    ]
    for work in works:
        work.start()
    most = 0
    while any(work.is_alive() for work in works):
        most = max(most, up.memory())
        time.sleep(0.3)
    return most


def run() -> Iterator[Figure]:
    given, settings = os.environ.get("ENGINES"), Settings.from_env(os.environ)
    if not given or not {EAR, VOICE} <= set(settings.weights.serving):
        yield Figure("nothing to hear: set ENGINES to a folder, and install both models", "")
        return
    files, model = recordings(Path(given)), settings.weights.serving[EAR]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prose = Path(os.environ.get("ENGINES_SPOKEN") or folder / "spoken")
        prose.mkdir(parents=True, exist_ok=True)
        with ProviderRegistry(settings.load_catalog(), engine_processes=1) as registry:
            write_spoken(prose, registry, WORDS)
        clip = beginning(files[0])
        with product(folder, settings) as up:
            up.hear("clip.wav", clip)
            up.speak()
            time.sleep(3)
            idle = up.memory() / GB
            yield Figure(
                "memory of all processes, idle", f"{idle:.2f} GB", "", None, f"<= {IDLE_GB} GB", idle <= IDLE_GB
            )
            yield from heard_by_both("recordings", files, up, model)
            yield from answered(clip, up, model, folder)
            yield from heard_by_both("spoken by Kokoro", recordings(prose), up, model)
            most = at_work(files, clip, up) / GB
            yield Figure("at work", f"{most:.2f} GB", "", None, f"<= {WORKING_GB} GB", most <= WORKING_GB)
