"""What ffmpeg says of its input. There is no ffprobe in every package of ffmpeg, but each ffmpeg lists what it opens.

A file's own texts (titles, lyrics, chapters) stand in the same log and may be endless: lines are cut, few are kept.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

_LONGEST_LINE = 1000
_LAST_LINES = 40
_STREAM = re.compile(rb"^ {2,4}Stream #0:\d+(?:\[[^\]]*\])?(?:\([^)]*\))?: (\w+): ?(.*)")
_AUDIO = re.compile(rb"^([\w.-]+).*?, (?:(\d+) Hz, )?([^,]+)")
_DURATION = re.compile(rb"^  Duration: [\d:./NA]+(?:, start: (-?[\d.]+))?")
_LAYOUTS = {"mono": 1, "stereo": 2, "downmix": 2, "binaural": 2, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8}


@dataclass(frozen=True)
class AudioStream:
    """One sound track as ffmpeg lists it; 0 where it could not tell."""

    codec: str
    sample_rate: int
    channels: int


class Log:
    """ffmpeg's standard error, digested while it comes."""

    def __init__(self) -> None:
        self.opened = False  # the container could be read
        self.start = 0.0  # the stated time of the first sound, in seconds
        self.tracks = 0  # of any kind
        self.audio: AudioStream | None = None  # the first sound track
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._listing = self._past_texts = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """More of it, cut anywhere."""
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        for line in lines:
            self._line(line[:_LONGEST_LINE])

    def close(self) -> None:
        """No more will come."""
        self.feed(b"\n")

    def says(self, *phrases: str) -> bool:
        """Whether one of `phrases` is in its last lines."""
        return any(phrase in line for line in self.last for phrase in phrases)

    def _line(self, line: bytes) -> None:
        if line.startswith(b"size=") or not line.strip():
            return
        if line.startswith(b"Input #0, "):
            self.opened = self._listing = True
        elif line.startswith((b"Stream mapping:", b"Output #0")):
            self._listing = False
        elif not self._listing or not line.startswith(b" "):
            self.last.append(_text(line))
        elif not self._past_texts:  # the file's own title comes first, and may look like anything
            self._duration(_DURATION.match(line))
        elif stream := _STREAM.match(line):
            self._stream(stream[1], stream[2])

    def _duration(self, found: re.Match[bytes] | None) -> None:
        if found:
            self._past_texts = True
            self.start = float(found[1] or 0)

    def _stream(self, kind: bytes, text: bytes) -> None:
        self.tracks += 1
        if kind == b"Audio" and not self.audio:
            found = _AUDIO.match(text)
            codec, rate, layout = found.groups() if found else (text, None, b"")
            self.audio = AudioStream(_text(codec), int(rate or 0), channel_count(_text(layout)))


def channel_count(layout: str) -> int:
    """How many channels a layout of ffmpeg's has: "stereo", "5.1(side)", "3 channels (FL+FR+LFE)"; 0 where unknown."""
    if counted := re.match(r"(\d+) channels", layout):
        return int(counted[1])
    if ambisonic := re.match(r"ambisonic (\d+)", layout):
        return (int(ambisonic[1]) + 1) ** 2
    if dotted := re.match(r"\d+(\.\d+)+", layout):
        return sum(int(part) for part in dotted[0].split("."))
    return _LAYOUTS.get(layout.split("(", maxsplit=1)[0], 0)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
