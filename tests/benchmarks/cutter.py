"""Cutting against bare ffmpeg on the same hour of mp3: wall time, and speed in multiples of real time."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.audio.decode import decode
from pipeline.audio.ffmpeg.binary import ffmpeg_path
from pipeline.cut.cutter import CutProfile, cut
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording, repeated

HOUR = 3600.0


def bare_ffmpeg(path: Path) -> float:
    """Seconds that ffmpeg alone takes to decode to the same samples."""
    started = time.monotonic()
    command = [
        ffmpeg_path(),
        "-nostdin",
        "-v",
        "error",
        "-i",
        str(path),
        "-vn",
        "-ac",
        "1",
        "-ar",
        "16000",
        "-f",
        "s16le",
        "pipe:1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout
        while child.stdout.read(1 << 16):
            pass
    return time.monotonic() - started


def ours(path: Path) -> float:
    """Seconds to decode and cut."""
    started = time.monotonic()
    with decode(path) as audio:
        for _ in cut(audio, CutProfile()):
            pass
    return time.monotonic() - started


def cutting_only(path: Path) -> float:
    """Seconds of the cutter alone, its samples already in memory."""
    with decode(path) as audio:
        blocks = list(audio)
    started = time.monotonic()
    for _ in cut(iter(blocks), CutProfile()):
        pass
    return time.monotonic() - started


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        ten_minutes = oracle_recording(Path(folder), seconds=600, style="natural", suffixes=["mp3"])["mp3"]
        hour = repeated(ten_minutes, 6)
        bare, both, alone = (min(measure(hour) for _ in range(3)) for measure in (bare_ffmpeg, ours, cutting_only))
    yield Figure("decode + cut, an hour of mp3", f"{both:.2f} s", f"ffmpeg {bare:.2f} s", both / bare)
    speed = HOUR / alone
    yield Figure("cutter alone", f"{speed:.0f} x real time", "", None, ">= 500 x", speed >= 500)
