"""Peak memory of preparing (decode and cut) ten hours against ten minutes."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording, repeated

PREPARE = """
import resource, sys
from pathlib import Path
from pipeline.audio.decode import decode
from pipeline.cut.cutter import CutProfile, cut
with decode(Path(sys.argv[1])) as audio:
    chunks = sum(1 for _ in cut(audio, CutProfile()))
    seconds = audio.samples / 16000
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ffmpeg = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(own, ffmpeg, chunks, seconds)
"""


def prepare(path: Path) -> tuple[float, float, int, float]:
    """(our peak MiB, ffmpeg's peak MiB, chunks, seconds) of a process that prepares this file."""
    done = subprocess.run([sys.executable, "-c", PREPARE, str(path)], check=True, capture_output=True, text=True)
    own, ffmpeg, chunks, seconds = done.stdout.split()
    return int(own) / 1024, int(ffmpeg) / 1024, int(chunks), float(seconds)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        short = oracle_recording(Path(folder), seconds=600, style="natural", suffixes=["mp3"])["mp3"]
        long = repeated(short, 60)
        base, base_ffmpeg, _, _ = prepare(short)
        peak, peak_ffmpeg, chunks, seconds = prepare(long)
    for name, value, reference in (("our process", peak, base), ("ffmpeg", peak_ffmpeg, base_ffmpeg)):
        ratio = value / reference
        title = f"{name}, {seconds / 3600:.1f} h in {chunks} chunks"
        yield Figure(title, f"{value:.1f} MiB", f"10 min {reference:.1f} MiB", ratio, "<= 1.10", ratio <= 1.10)
