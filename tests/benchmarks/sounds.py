"""Recordings for the benchmarks, made once per run in a folder of the caller's."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline.oracle.speech import Spoken, generate
from tests.support.sound_files import from_pcm

CODECS: dict[str, Sequence[str]] = {
    "wav": ["-c:a", "pcm_s16le"],
    "flac": ["-c:a", "flac"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "64k"],
    "m4a": ["-c:a", "aac", "-b:a", "64k"],
    "ogg": ["-c:a", "libopus", "-b:a", "32k"],
    "webm": ["-c:a", "libopus", "-b:a", "32k"],
}


def oracle_recording(folder: Path, *, seconds: float, style: str, suffixes: Sequence[str]) -> dict[str, Path]:
    """The same oracle speech in every format asked for; one pass of the generator feeds one ffmpeg with many outputs."""
    paths = {suffix: folder / f"{style}-{seconds:g}.{suffix}" for suffix in suffixes}
    outputs = [part for suffix, path in paths.items() for part in (*CODECS[suffix], str(path))]
    with subprocess.Popen(from_pcm(*outputs), stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin
        for block, _ in generate(seconds=seconds, style=style, seed=1):
            encoder.stdin.write(block)
        encoder.stdin.close()
        assert encoder.wait() == 0
    return paths


def truth(*, seconds: float, style: str) -> list[Spoken]:
    """What `oracle_recording` said, and when."""
    return [word for _, words in generate(seconds=seconds, style=style, seed=1) for word in words]


def repeated(path: Path, times: int) -> Path:
    """An mp3 played `times` times, by joining its frames: hours of sound in a second."""
    data = path.read_bytes()
    target = path.with_stem(f"{path.stem}-x{times}")
    with target.open("wb") as out:
        for _ in range(times):
            out.write(data)
    return target
