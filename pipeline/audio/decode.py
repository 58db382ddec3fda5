"""Any recording in, mono samples out (of 16 kHz, what is heard): streaming, in constant memory, with the times of the original.

What is decided here: a file that stops in the middle is decoded as far as it goes, because recorders and streams end like
that; except an MP4 whose index promises more than is there, for then the loss is certain. Sound that begins after the
picture of a film is preceded by silence, so that times are the player's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pipeline.audio.containers.table import Container, Found
from pipeline.audio.ffmpeg.arguments import SAMPLE_RATE, decode_arguments
from pipeline.audio.ffmpeg.binary import Ffmpeg, find_ffmpeg
from pipeline.audio.ffmpeg.cpu_affinity import keep_together
from pipeline.audio.ffmpeg.error_mapping import failure, refuse_strange
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.ffmpeg.process import BLOCK_BYTES, STALL_SECONDS, Child
from pipeline.audio.ffmpeg.sandbox import Level, sandbox_level
from pipeline.audio.raw_sound import RawSound
from pipeline.audio.source import found_in, opened
from pipeline.errors import EmptyMedia, MediaTooLong

_SAMPLE_BYTES = 2
_MOST_SECONDS = 7 * 24 * 3600  # that processor time is reckoned with when the caller sets no limit
_CPU_SECONDS_PER_SECOND = 0.2  # of sound; a slow core decodes an hour of AAC in some 20 s
_CPU_SECONDS_AT_LEAST = 300
# A stream of bare frames, in WAV too, does not say that its first samples are the codec's own delay. Every decoder adds it, so
# every time would be late. MP3: LAME's 576 + 529 (also where the tag that tells is missing); AAC: one frame of its transform.
_UNSTATED_DELAY = {("mp3", "mp3"): 1105, ("wav", "mp3"): 1105, ("w64", "mp3"): 1105, ("aac", "aac"): 1024}


@dataclass(frozen=True)
class AudioFacts:
    """What was found in the file: its container, and the codec, channels and samples per second of the track we hear."""

    container: str
    codec: str
    channels: int
    sample_rate: int


def decode(
    source: Path | bytes,
    *,
    max_seconds: float | None = None,
    channel: int | None = None,
    sample_rate: int = SAMPLE_RATE,
    declared: RawSound | None = None,
) -> Decoding:
    """Open a recording: `with decode(path) as sound: for block in sound: ...`. `channel`, from 0, instead of a mix of all.
    What is `declared` is not looked at to find out what it is.

    Raises, when entered or while iterated: EmptyMedia, UnsupportedMedia, NoAudioTrack, DamagedMedia, MediaTooLong once more
    than `max_seconds` have been decoded, InputMissing for a path that cannot be opened, SandboxFailed.
    """
    return Decoding(source, max_seconds=max_seconds, channel=channel, sample_rate=sample_rate, declared=declared)


class Decoding:
    """A recording being decoded. `samples` counts what came so far, of `sample_rate`: exact when the iteration has ended."""

    facts: AudioFacts

    def __init__(
        self,
        source: Path | bytes,
        *,
        max_seconds: float | None = None,
        channel: int | None = None,
        sample_rate: int = SAMPLE_RATE,
        declared: RawSound | None = None,
        level: Level | None = None,
        tool: Ffmpeg | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.samples = 0
        self._source = source
        self._max_seconds = max_seconds
        self._channel = channel
        self._sample_rate = sample_rate
        self._declared = declared
        self._level = level
        self._tool = tool
        self._stall_seconds = stall_seconds
        self._pending = b""
        self._skip = 0  # bytes
        self._child: Child | None = None

    def __enter__(self) -> Decoding:
        descriptor = opened(self._source)
        try:
            found = found_in(descriptor, self._declared)
            self._child = self._started(found, descriptor)
        finally:
            os.close(descriptor)
        try:
            self._begin(self._child, found.container)
        except BaseException:
            self._child.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._child:
            self._child.close()

    def __iter__(self) -> Iterator[bytes]:
        """Blocks of at most 64 KiB of s16le, whole samples each."""
        assert self._child, "a Decoding is a context manager: enter it first"
        while block := self._next(self._child):
            yield block

    def _started(self, found: Found, descriptor: int) -> Child:
        tool = self._tool or find_ffmpeg()
        seconds = _MOST_SECONDS if self._max_seconds is None else self._max_seconds
        child = Child(
            tool,
            decode_arguments(tool, found, self._max_seconds, self._channel, self._sample_rate),
            level=self._level or sandbox_level(),
            cpu_seconds=int(_CPU_SECONDS_AT_LEAST + seconds * _CPU_SECONDS_PER_SECOND),
            stdin=descriptor,
            stall_seconds=self._stall_seconds,
        )
        keep_together(child.pid)
        return child

    def _begin(self, child: Child, container: Container) -> None:
        """Wait for the first sound; by then ffmpeg has told what it found."""
        self._pending = child.read()
        if not child.log.audio:
            raise failure(child.log, child.returncode)
        track = child.log.audio
        refuse_strange(track, child.log.tracks)
        if not self._pending:
            self._finish(child)
        self.facts = AudioFacts(container.name, track.codec, track.channels, track.sample_rate)
        if not child.log.start:
            self._skip = _unstated_delay(container, track, self._sample_rate) * _SAMPLE_BYTES

    def _next(self, child: Child) -> bytes:
        """The next block, b"" at a good end."""
        data = self._whole_samples(child)
        while data and self._skip >= len(data):
            self._skip -= len(data)
            data = self._whole_samples(child)
        data, self._skip = data[self._skip :], 0
        self.samples += len(data) // _SAMPLE_BYTES
        self._check_length()
        if not data:
            self._finish(child)
        return data

    def _whole_samples(self, child: Child) -> bytes:
        """What is pending or comes next, b"" at the end; a pipe may cut inside a sample."""
        data = self._pending
        while len(data) < _SAMPLE_BYTES:
            more = child.read(BLOCK_BYTES - len(data))
            if not more:
                return b""
            data += more
        whole = len(data) - len(data) % _SAMPLE_BYTES
        self._pending = data[whole:]
        return data[:whole]

    def _check_length(self) -> None:
        if self._max_seconds is not None and self.samples > self._max_seconds * self._sample_rate:
            message = f"The recording is longer than the limit of {self._max_seconds:g} seconds."
            raise MediaTooLong(message, max_seconds=self._max_seconds)

    def _finish(self, child: Child) -> None:
        if child.returncode:
            raise failure(child.log, child.returncode)
        if not self.samples:
            raise EmptyMedia("The recording has no sound in it: zero samples.")


def _unstated_delay(container: Container, track: AudioStream, sample_rate: int) -> int:
    """In samples of `sample_rate`."""
    return round(_UNSTATED_DELAY.get((container.name, track.codec), 0) * sample_rate / track.sample_rate)
