"""Two talkers of three seconds each, with a second of room between them, where things are cut; and files of them."""

from __future__ import annotations

import io
import subprocess
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.ffmpeg.binary import ffmpeg_path
from pipeline.oracle.speech import generate

RATE = 16_000
HALF, ROOM = 3.0, 1.0  # seconds
CUT, WHOLE = HALF + ROOM / 2, 2 * HALF + ROOM
A, B = 1, 7  # the talkers' seeds
Sound = NDArray[np.int16]
Said = tuple[tuple[str, float], ...]
Make = Callable[[Path], bytes]


@dataclass(frozen=True)
class Row:
    """A recording and what is right: `said` with times in seconds, each word once; `late`: ms that codec and container may add.

    `gaps`: seconds from and to. `layers`: how often it is heard, as channels or tracks by themselves. `damaged`: some of it is
    missing, and that is told.
    """

    name: str
    make: Make
    said: Said
    late: int = 0
    gaps: tuple[tuple[float, float], ...] = ()
    warnings: frozenset[str] = frozenset()
    fields: Mapping[str, str] = field(default_factory=dict)
    layers: int = 1
    damaged: bool = False


@cache
def talker(seed: int) -> tuple[Sound, Said]:
    """One who speaks for HALF."""
    blocks = list(generate(seconds=HALF, style="natural", seed=seed))
    said = tuple((word.text, word.start / RATE) for _, words in blocks for word in words)
    return np.frombuffer(b"".join(block for block, _ in blocks), "<i2"), said


def room(seconds: float = ROOM) -> Sound:
    """What is heard where nobody speaks."""
    return np.random.default_rng(1).normal(0, 12, round(seconds * RATE)).astype("<i2")


def both() -> Sound:
    """One talker after the other."""
    return np.concatenate([talker(A)[0], room(), talker(B)[0]])


def said_by_both(hole: float = 0.0, *, start: float = 0.0) -> Said:
    """With so much more between them."""
    return (*later(talker(A)[1], start), *later(talker(B)[1], start + HALF + ROOM + hole))


def later(said: Said, by: float) -> Said:
    """The same words, so many seconds later."""
    return tuple((word, at + by) for word, at in said)


def wav(*channels: Sound) -> bytes:
    """As many channels as there are sounds."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((len(channels), 2, RATE, 0, "NONE", ""))
        file.writeframes(np.stack(channels, axis=1).clip(-32_768, 32_767).astype("<i2").tobytes())
    return held.getvalue()


def ffmpeg(folder: Path, *arguments: object) -> None:
    """Run it in the folder."""
    command = [ffmpeg_path(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, cwd=folder)


def encoded(folder: Path, sound: bytes, name: str, *options: object) -> bytes:
    """A WAV as that file."""
    (folder / "source.wav").write_bytes(sound)
    ffmpeg(folder, "-i", "source.wav", *FILES[name.rpartition(".")[2]][0], *options, name)
    return (folder / name).read_bytes()


AAC, MP3, OPUS = ("-c:a", "aac"), ("-c:a", "libmp3lame"), ("-c:a", "libopus")
VORBIS, MP2, AC3 = ("-c:a", "libvorbis"), ("-c:a", "mp2"), ("-c:a", "ac3", "-ar", "48000")
WMA, FLV = ("-c:a", "wmav2", "-ar", "44100"), ("-c:a", "aac", "-ar", "44100")
DTS, PHONE = ("-c:a", "dca", "-strict", "-2", "-ar", "48000"), ("-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1")
FILES: dict[str, tuple[Sequence[str], int]] = {  # (ffmpeg's options, ms that codec and container come late by)
    "wav": ((), 0), "flac": ((), 0), "mp3": (MP3, 0), "aac": (AAC, 0), "m4a": (AAC, 0), "mp4": (AAC, 0), "ogg": (OPUS, 0),
    "oga": (VORBIS, 0), "webm": (OPUS, 0), "mka": (VORBIS, 0), "mkv": (AAC, 0), "ts": (AAC, 64), "m2ts": (AC3, 6), "mpg": (MP2, 30),
    "vob": (AC3, 6), "avi": (MP3, 0), "flv": (FLV, 24), "wma": (WMA, 47), "aiff": ((), 0), "caf": ((), 0), "au": ((), 0),
    "w64": ((), 0), "wv": ((), 0), "voc": ((), 0), "ac3": (AC3, 6), "eac3": (("-ar", "48000"), 6), "dts": (DTS, 11),
    "3gp": (PHONE, 0), "mov": (("-c:a", "pcm_s16le"), 0),
}  # fmt: skip
STEREO = tuple(name for name in FILES if name not in {"3gp", "mp4", "mka"})
