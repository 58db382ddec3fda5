"""The ffmpeg of this machine: the newer of the one on PATH and the one that imageio-ffmpeg brings along."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

import imageio_ffmpeg

from pipeline.errors import FfmpegUnusable

LEAST_VERSION = "5.1"
_LEAST = (59, 27, 100)  # libavformat of that: channels have layouts since then, and older ones get no repairs any more
_FIRST_WITH_FD_PROTOCOL = (60, 0, 0)  # libavformat of FFmpeg 6.0
_ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Ffmpeg:
    """One ffmpeg program. `libavformat` orders programs also where the version is the hash of a nightly build."""

    path: str
    version: str
    libavformat: tuple[int, int, int]

    @property
    def reads_descriptors(self) -> bool:
        """Whether it can read an inherited descriptor with seeking, and so needs no right to open any path."""
        return self.libavformat >= _FIRST_WITH_FD_PROTOCOL


@cache
def find_ffmpeg() -> Ffmpeg:
    """The ffmpeg that is used from now on. Raises FfmpegUnusable when there is none that runs and is new enough."""
    found = [program for program in map(_ask, _candidates()) if program]
    if not found:
        raise FfmpegUnusable(f"No ffmpeg was found: install {LEAST_VERSION} or newer, or the package imageio-ffmpeg.")
    newest = max(found, key=lambda program: program.libavformat)
    if newest.libavformat < _LEAST:
        raise FfmpegUnusable(
            f"ffmpeg {newest.version} at {newest.path} is too old: install {LEAST_VERSION} or newer, or the package "
            "imageio-ffmpeg."
        )
    return newest


def ffmpeg_path() -> str:
    """Where the program in use lies."""
    return find_ffmpeg().path


def ffmpeg_version() -> str:
    """The version that the program in use states, e.g. `5.1.9` or `n9.0.2-17-g2a571b6068`."""
    return find_ffmpeg().version


def _candidates() -> list[str]:
    paths = [shutil.which("ffmpeg")]
    try:
        paths.append(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:  # its wheel without a binary, as on platforms it does not serve
        paths.append(None)
    return list(dict.fromkeys(path for path in paths if path))


def _ask(path: str) -> Ffmpeg | None:
    try:
        answer = subprocess.run(
            [path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=True
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"^ffmpeg version (\S+)", answer)
    library = re.search(r"^libavformat\s+(\d+)\.\s*(\d+)\.\s*(\d+)", answer, re.MULTILINE)
    if not version or not library:
        return None
    major, minor, micro = (int(part) for part in library.groups())
    return Ffmpeg(path, version[1], (major, minor, micro))
