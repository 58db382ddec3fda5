"""Two hours of text spoken by eSpeak: every word timed, memory of a process that reads 12 minutes, valid in all six formats."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.audio.decode import decode
from pipeline.options import SPEECH_FORMATS
from tests.benchmarks.report import Figure

SENTENCES = (
    "The committee met at half past nine and heard three reports before lunch.",
    "Nobody had expected the river to rise so quickly, least of all the engineers.",
    "She wrote down the number, folded the paper twice and put it into her pocket.",
    "In the end it was decided, after some discussion, to wait for better weather.",
)
READ = """
import itertools, json, resource, sys
from pathlib import Path
from pipeline.catalog.toml_file import load_catalog
from pipeline.options import SpeechOptions
from pipeline.tts.long_text import Reading
from pipeline.tts.passage import recital_from_bytes, recital_samples, recital_to_bytes, recite
from pipeline.provider_registry import ProviderRegistry
from pipeline.text.text_splitter import passages
text, folder, formats = Path(sys.argv[1]).read_text(), Path(sys.argv[2]), sys.argv[3].split(",")
options = SpeechOptions(model="espeak-ng", input="-", speed=1.0)
files = []
with ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=2) as registry:
    for number, passage in enumerate(passages(text, longest=1500)):
        path = folder / f"{number}.recital"
        path.write_bytes(recital_to_bytes(recite(options.model_copy(update={"input": passage}), registry)))
        files.append(path)
samples = sum(recital_samples(path.open("rb").read(16), path.stat().st_size) for path in files)
for name in formats:
    reading = Reading()
    with (folder / f"speech.{name}").open("wb") as out:
        for block in reading.file((recital_from_bytes(path.read_bytes()) for path in files), name, samples=samples):
            out.write(block)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
transcript = reading.transcript()
words = [word.text for word in transcript.words]
forward = all(one.end <= other.start for one, other in itertools.pairwise(transcript.words))
print(json.dumps({"seconds": transcript.duration / 1000, "same": words == text.split(), "forward": forward, "peak": peak,
                  "words": len(words)}))
"""


def text_of(minutes: float) -> str:
    """About so many minutes at the voice's own pace."""
    return " ".join(f"{number}. {SENTENCES[number % len(SENTENCES)]}" for number in range(round(minutes * 12)))


def read(folder: Path, minutes: float, formats: tuple[str, ...]) -> dict[str, float]:
    """What a process tells that reads such a text aloud into files in the folder."""
    source = folder / f"{minutes}.txt"
    source.write_text(text_of(minutes))
    arguments = [sys.executable, "-c", READ, str(source), str(folder), ",".join(formats)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = read(folder, 12, ("mp3",))
        began = time.monotonic()
        long = read(folder, 120, SPEECH_FORMATS)
        took = time.monotonic() - began
        hours = long["seconds"] / 3600
        expected = len(text_of(120).split())
        whole = bool(long["same"] and long["forward"])
        yield Figure(
            f"words timed in {hours:.2f} h", f"{long['words']:.0f}", f"said {expected}", None, "all, in order", whole
        )
        ratio = long["peak"] / short["peak"]
        base = f"{short['seconds'] / 60:.0f} min {short['peak']:.0f} MiB"
        yield Figure("peak memory", f"{long['peak']:.0f} MiB", base, ratio, "<= 1.10", ratio <= 1.10)
        yield Figure(
            "spoken and written six times over",
            f"{took:.0f} s",
            f"sound {long['seconds']:.0f} s",
            took / long["seconds"],
        )
        for kind in SPEECH_FORMATS:
            yield _length(folder / f"speech.{kind}", long["seconds"])


def _length(path: Path, expected: float) -> Figure:
    size = path.stat().st_size
    seconds = size / 48_000 if path.suffix == ".pcm" else _decoded(path)
    error = abs(seconds - expected)
    good = error < 0.2
    return Figure(
        f"{path.suffix}: length off by", f"{1000 * error:.0f} ms", f"{size / 2**20:.0f} MiB", None, "< 200 ms", good
    )


def _decoded(path: Path) -> float:
    with decode(path) as decoding:
        for _ in decoding:
            pass
    return decoding.samples / 16_000
