"""Long recordings against the bare minimum of work: a local engine on two cores, and a remote provider of a second's latency.

The remote provider is a process of its own behind HTTP. Every ratio is of times from one run, the sides taking turns.
"""

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.settings import Settings
from infra.wiring import build
from pipeline.audio.decode import decode
from pipeline.audio.ffmpeg.binary import ffmpeg_path
from pipeline.catalog.toml_file import load_catalog
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.engines.process_pool import EnginePool
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak, transcribe
from pipeline.transcript import SAMPLE_RATE
from tests.benchmarks.cutter import bare_ffmpeg
from tests.benchmarks.far_server import LATENCY
from tests.benchmarks.gateway import BOUNDARY, form, wait_for
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording
from tests.benchmarks.upload_memory import free_port
from tests.support.accounts import rich

HOUR, AT_ONCE, ROUNDS = 3600.0, 32, 3
SPOKEN_MINUTES = float(os.environ.get("LONG_AUDIO_MINUTES", "10"))  # through PocketSphinx
PIECE = 30 * SAMPLE_RATE * 2  # bytes
CATALOG = """
[providers.distant]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "sk-distant"
concurrency = {at_once}

[models.distant]
tasks = ["transcription"]
routes = [{{ provider = "distant", model = "whisper-1" }}]
"""
LINES = (
    "The committee met at half past nine and heard three reports before lunch.",
    "Nobody had expected the river to rise so quickly, least of all the engineers.",
    "She wrote down the number, folded the paper twice and put it into her pocket.",
    "In the end it was decided, after some discussion, to wait for better weather.",
)


@dataclass(frozen=True)
class Place:
    """Where the provider and Stenopool listen, and what is needed to ask them."""

    far: int
    ours: int
    key: str
    catalog: Path


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Place]:
    """The provider, and `stenopool up` with it in its catalog."""
    far, ours, home = free_port(), free_port(), folder / "home"
    catalog = folder / "catalog.toml"
    catalog.write_text(CATALOG.format(port=far, at_once=AT_ONCE))
    with build(Settings(home=home, catalog=catalog)) as services:
        key, _ = services.accounts.create_key(rich(services.database, "benchmark"))
    environ = os.environ | {"STENOPOOL_HOME": str(home), "STENOPOOL_CATALOG": str(catalog)}
    commands = (
        [sys.executable, "-m", "tests.benchmarks.far_server", str(far)],
        [sys.executable, "-m", "cli", "up", "--port", str(ours)],
    )
    with (folder / "log").open("wb") as log, contextlib.ExitStack() as stack:
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, env=environ, stdout=log, stderr=log))
            stack.callback(process.terminate)
        wait_for(far)
        wait_for(ours)
        yield Place(far, ours, key, catalog)


def call(port: int, body: bytes, key: str = "", *, path: str = "/v1/audio/transcriptions") -> dict[str, object]:
    """What is answered to this form."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status < 300, found
        return found


def least(recording: Path, place: Place) -> tuple[float, float]:
    """Seconds that cannot be saved: decoding and one call; and the same with the upload, to a server that does nothing."""
    decoding, began = bare_ffmpeg(recording), time.monotonic()
    call(place.far, form(b"", model="whisper-1"))
    called = time.monotonic()
    call(place.far, form(recording.read_bytes(), model="whisper-1"))
    uploading = time.monotonic() - called - LATENCY
    return decoding + called - began, decoding + called - began + uploading


def in_one_process(recording: Path, place: Place) -> float:
    """Seconds of the pipeline alone."""
    with ProviderRegistry(load_catalog(place.catalog, embedded_engines="auto"), engine_processes=1) as registry:
        began = time.monotonic()
        found = transcribe(recording, TranscriptionOptions(model="distant"), registry, workers=AT_ONCE)
        took = time.monotonic() - began
    assert len(found.text.split()) > HOUR, "the answers are there"
    return took


def as_a_job(recording: Path, place: Place) -> float:
    """Seconds from the first byte sent to the transcript's last byte read, through all the processes."""
    began = time.monotonic()
    job = call(place.ours, form(recording.read_bytes(), model="distant"), place.key, path="/v1/audio/jobs")
    with closing(http.client.HTTPConnection("127.0.0.1", place.ours, timeout=120)) as connection:

        def get(path: str) -> bytes:
            connection.request(
                "GET", f"/v1/audio/jobs/{job['id']}{path}", headers={"Authorization": f"Bearer {place.key}"}
            )
            return connection.getresponse().read()

        while (status := json.loads(get("?wait=30"))["status"]) not in ("completed", "failed"):
            pass
        text = get("/transcript?format=text")
    took = time.monotonic() - began
    assert status == "completed" and len(text.split()) > HOUR, status
    return took


def hour_of_calls(folder: Path) -> Iterator[Figure]:
    """Decoding cannot be avoided, nor can one call after the last sound is decoded; all else should hide behind them."""
    recording = oracle_recording(folder, seconds=HOUR, style="natural", suffixes=["mp3"])["mp3"]
    with running(folder) as place:
        as_a_job(recording, place)  # the workers open what they need at their first job
        rounds = [
            (*least(recording, place), in_one_process(recording, place), as_a_job(recording, place))
            for _ in range(ROUNDS)
        ]
    bare, with_upload, alone, job = (statistics.median(times) for times in zip(*rounds, strict=True))
    title = f"an hour of mp3, calls of {LATENCY:g} s, {AT_ONCE} at once"
    yield compared(f"{title}: pipeline", alone, "ffmpeg + call", bare, 1.3)
    yield compared(f"{title}: job over HTTP", job, "and upload", with_upload, 1.3)


def compared(title: str, ours: float, what: str, baseline: float, most: float) -> Figure:
    ratio = ours / baseline
    return Figure(title, f"{ours:.1f} s", f"{what} {baseline:.1f} s", ratio, f"<= {most:g}", ratio <= most)


def spoken(folder: Path, minutes: float) -> Path:
    """A WAV of so much speech by eSpeak, at PocketSphinx' rate, with pauses between the sentences."""
    catalog = load_catalog(None, embedded_engines="auto")
    with ProviderRegistry(catalog, engine_processes=1) as registry:
        options = SpeechOptions(model="espeak-ng", input=" ".join(LINES), response_format="wav")
        file = folder / "lines.wav"
        file.write_bytes(b"".join(speak(options, registry)))
    with decode(file) as decoding:
        once = b"".join(decoding) + np.zeros(SAMPLE_RATE // 2, dtype="<i2").tobytes()
    target = folder / "spoken.wav"
    samples = round(60 * minutes) * SAMPLE_RATE
    sound = (once * (2 * samples // len(once) + 1))[: 2 * samples]
    with subprocess.Popen(
        [ffmpeg_path(), "-nostdin", "-v", "error", "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", str(target)],
        stdin=subprocess.PIPE,
    ) as encoder:
        encoder.communicate(sound)
    return target


def bare_engine(pieces: Sequence[bytes]) -> float:
    """Seconds that one PocketSphinx takes for all of it, one piece after the other."""
    with closing(EnginePool(EngineSpec("bare", "pipeline.providers.pocketsphinx:Recogniser"))) as pool:
        pool.call("decode", pieces[0][: 2 * SAMPLE_RATE], timeout=120)
        started = time.monotonic()
        for piece in pieces:
            pool.call("decode", piece, timeout=600)
        return time.monotonic() - started


def local_engine(folder: Path) -> Figure:
    """Two engine processes with everything around them, against one without anything, half of it before and half after."""
    recording = spoken(folder, SPOKEN_MINUTES)
    with decode(recording) as decoding:
        sound = b"".join(decoding)
    pieces = [sound[at : at + PIECE] for at in range(0, len(sound), PIECE)]
    half = len(pieces) // 2
    before = bare_engine(pieces[:half])
    with ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=2) as registry:
        options = TranscriptionOptions(model="pocketsphinx-en-us")
        started = time.monotonic()
        transcribe(recording, options, registry, workers=2)
        took = time.monotonic() - started
    bare = before + bare_engine(pieces[half:])
    return compared(f"{SPOKEN_MINUTES:g} min through PocketSphinx, two processes", took, "one", bare, 0.55)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        yield from hour_of_calls(Path(name))
        yield local_engine(Path(name))
