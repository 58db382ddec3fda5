"""Long recordings against the bare minimum of work: a local engine on two cores, and a remote provider of a second's latency."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pipeline.audio.decode import decode
from pipeline.catalog import Route, load_catalog
from pipeline.cut import CutProfile
from pipeline.engines import EnginePool
from pipeline.options import TranscriptionOptions
from pipeline.providers.base import Transcriber
from pipeline.run import Toolbox, transcribe
from pipeline.transcript import SAMPLE_RATE, Heard, Segment
from tests.benchmarks.cutter import bare_ffmpeg
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording, repeated

HOUR, TEN_MINUTES = 3600.0, 600.0
LATENCY, AT_ONCE = 1.0, 32
PIECE = 30 * SAMPLE_RATE * 2  # bytes


class Far:
    """A provider that takes a second for anything and is asked over a wire."""

    name, local, profile = "far", False, CutProfile()

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        time.sleep(LATENCY)
        length = len(pcm) // 2 * 1000 // SAMPLE_RATE
        text = " ".join(f"word{number}" for number in range(length // 500))
        return Heard((Segment(text, 0, length),), "en", "far", timed=False)


class FarToolbox(Toolbox):
    """Everything is heard by `Far`."""

    def transcriber(self, route: Route) -> Transcriber:
        return Far()


def hour_of_calls(recording: Path) -> Figure:
    """Decoding cannot be avoided, nor can one call after the last sound is decoded; all else should hide behind them."""
    least = bare_ffmpeg(recording) + LATENCY
    with FarToolbox(load_catalog(None, embedded_engines="auto"), engine_processes=1) as toolbox:
        started = time.monotonic()
        transcribe(recording, TranscriptionOptions(model="oracle"), toolbox, workers=AT_ONCE)
        took = time.monotonic() - started

    title = f"an hour of mp3, provider of {LATENCY:g} s, {AT_ONCE} at once"
    return Figure(title, f"{took:.1f} s", f"least {least:.1f} s", took / least, "<= 1.3", took / least <= 1.3)


def bare_engine(pieces: Sequence[bytes]) -> float:
    """Seconds that one PocketSphinx takes for all of it, one piece after the other."""
    with closing(EnginePool("bare", "pipeline.providers.pocketsphinx:Recogniser", processes=1)) as pool:
        pool.call("decode", pieces[0][: 2 * SAMPLE_RATE], timeout=120)
        started = time.monotonic()
        for piece in pieces:
            pool.call("decode", piece, timeout=600)
        return time.monotonic() - started


def local_engine(recording: Path) -> Figure:
    """Two engine processes with everything around them, against one without anything."""
    with decode(recording) as decoding:
        sound = b"".join(decoding)
    bare = bare_engine([sound[at : at + PIECE] for at in range(0, len(sound), PIECE)])
    with Toolbox(load_catalog(None, embedded_engines="auto"), engine_processes=2) as toolbox:
        options = TranscriptionOptions(model="pocketsphinx-en-us")
        started = time.monotonic()
        transcribe(recording, options, toolbox, workers=2)
        took = time.monotonic() - started
    title = "ten minutes through PocketSphinx, two processes"
    return Figure(title, f"{took:.0f} s", f"one: {bare:.0f} s", took / bare, "<= 0.55", took / bare <= 0.55)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        ten = oracle_recording(Path(folder), seconds=TEN_MINUTES, style="natural", suffixes=["mp3"])["mp3"]
        yield hour_of_calls(repeated(ten, 6))
        yield local_engine(ten)
