"""What ffmpeg says of its input. There is no ffprobe in every package of ffmpeg, but each ffmpeg lists what it opens.

A file's own texts (titles, lyrics, chapters) stand in the same log and may be endless: lines are cut, few are kept.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

_LONGEST_LINE = 1000
_LAST_LINES = 40
_STREAM = re.compile(rb"^ {2,4}Stream #0:\d+(?:\[[^\]]*\])?(?:\(([^)]*)\))?: (\w+): ?(.*)")
_AUDIO = re.compile(rb"^([\w.-]+).*?, (?:(\d+) Hz, )?([^,]+)")
_DURATION = re.compile(rb"^  Duration: (?:(\d+):(\d+):([\d.]+)|[^,]*)(?:, start: (-?[\d.]+))?")
# Written in parts, between which another thread of ffmpeg may have its say: what comes last tells it.
_MADE = re.compile(rb"^ {0,4}(?:Stream )?[#:0]*(?:\([^)]*\))?: Audio: ([^\n]*)")
_TITLE = re.compile(rb"^ +title +: (.+)")
_PRINTED = re.compile(
    rb"^\[Eval @ [^\]]*\] (-?\d+\.\d+|-?nan|-?inf)$"
)  # what an expression of our own prints (pipeline.audio.ffmpeg.frame_events)
_FILTERED = re.compile(rb" samplefmt:\w+ samplerate:\d+ chlayout:(.+)")  # told whenever the filters are built
_UNDECODED = (
    b"Error submitting packet to decoder",
    b"Error while decoding stream",
    b"Decoding error:",
    b"CRC mismatch",
)
_COMPLAINTS = (  # of decoders, then of demuxers: all, Ogg, MPEG, Matroska, Flash, Windows Media, WavPack
    *_UNDECODED,
    b"Error during demuxing",
    b"Packet corrupt",
    b"partial file",
    b"changing packet size",
    b"max resync size reached",
    b"Invalid EBML",
    b"inside parent with finite size",
    b"an EBML number",
    b"exceeds containing master element",
    b"for element with ID",
    b"Invalid track number",
    b"Error parsing frame sizes",
    b"Track size mismatch",
    b"packet_obj_size",
    b"invalid packet_length",
    b"ff asf bad header",
    b"Invalid block header",
)
_ESTIMATE = b"Estimating duration from bitrate"
_LAYOUTS = {"mono": 1, "stereo": 2, "downmix": 2, "binaural": 2, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8}


@dataclass(frozen=True)
class AudioStream:
    """One sound track as ffmpeg lists it; 0 where it could not tell."""

    codec: str
    sample_rate: int
    channels: int
    language: str = ""
    title: str = ""
    default: bool = False


class _Remark(NamedTuple):
    """A line that is neither a listing's nor our own."""

    text: str
    estimates: bool = False  # the duration
    complains: bool = False  # of the input
    undecoded: bool = False  # and a packet is lost by that
    channels: int = 0  # of the format that the sound now has


class Log:
    """ffmpeg's standard error, digested while it comes."""

    def __init__(self) -> None:
        self.opened = False  # the container could be read
        self.damaged_before = False  # something could not be read before that
        self.start = 0.0  # the stated time of the first sound, in seconds
        self.duration = 0.0  # as stated, in seconds; 0: not
        self.guessed = False  # the duration is ffmpeg's guess
        self.tracks = 0  # of any kind
        self.sounds: list[AudioStream] = []
        self.channels = 0  # of what comes out
        self.most_channels = 0  # of the formats that the sound has had so far
        self.undecoded = 0  # packets of which a decoder has complained
        self.printed: deque[float | None] = deque()  # by our expressions, in order; None: a frame could not be decoded
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._listing = self._past_texts = self._making = self._in_sound = False
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
        if printed := _PRINTED.match(line):
            self.printed.append(float(printed[1]))
        elif line.startswith(b"size=") or not line.strip():
            return
        elif line.startswith(b"Input #0, "):
            self.opened = self._listing = True
        elif line.startswith((b"Stream mapping:", b"Output #0")):
            self._listing, self._making = False, line.startswith(b"Output #0")
        elif self._listing and line.startswith(b" "):
            self._listed(line)
        elif self._making and (made := _MADE.match(line)):
            self._making, self.channels = False, _stream(made[1]).channels
        else:
            self._told(line)

    def _told(self, line: bytes) -> None:
        told = _remark(line)
        self.last.append(told.text)
        self.guessed |= told.estimates
        self.most_channels = max(self.most_channels, told.channels)
        if told.complains:
            self.damaged_before |= not self.opened
            self.undecoded += told.undecoded
            self.printed.append(None)

    def _listed(self, line: bytes) -> None:
        """The file's own title comes before the duration, and may look like anything."""
        if not self._past_texts:
            self._duration(_DURATION.match(line))
        elif stream := _STREAM.match(line):
            self._stream(_text(stream[1] or b""), stream[2], stream[3])
        elif self._in_sound and (title := _TITLE.match(line)):
            self.sounds[-1] = replace(self.sounds[-1], title=_text(title[1]))

    def _duration(self, found: re.Match[bytes] | None) -> None:
        if found:
            self._past_texts = True
            if found[1]:
                self.duration = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
            self.start = float(found[4] or 0)

    def _stream(self, language: str, kind: bytes, text: bytes) -> None:
        self.tracks += 1
        self._in_sound = kind == b"Audio"
        if self._in_sound:
            default = b"(default)" in text
            self.sounds.append(replace(_stream(text), language="" if language == "und" else language, default=default))


@lru_cache(maxsize=256)  # of a broken file the same few lines come a million times
def _remark(line: bytes) -> _Remark:
    text = _text(line)
    if _ESTIMATE in line:
        return _Remark(text, estimates=True)
    if any(complaint in line for complaint in _COMPLAINTS):
        return _Remark(text, complains=True, undecoded=any(complaint in line for complaint in _UNDECODED))
    filtered = _FILTERED.search(line)
    return _Remark(text, channels=channel_count(_text(filtered[1])) if filtered else 0)


def _stream(text: bytes) -> AudioStream:
    """What is listed behind "Audio:"."""
    found = _AUDIO.match(text)
    codec, rate, layout = found.groups() if found else (text, None, b"")
    return AudioStream(_text(codec), int(rate or 0), channel_count(_text(layout)))


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
