"""Speech out: mono samples in, one of the six formats of the speech endpoint out, both streaming.

What is encoded are samples that an engine of ours or a provider made, never a stranger's file: there is nothing to parse, so
ffmpeg runs under limits only, which spares the listener the time that a stronger cell takes to build.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import threading
from collections.abc import Generator, Iterable, Iterator
from contextvars import copy_context
from typing import IO, Any

import ffmpeg

from pipeline.audio.ffmpeg.arguments import QUIETLY
from pipeline.audio.ffmpeg.binary import find_ffmpeg
from pipeline.audio.ffmpeg.process import STALL_SECONDS, Child
from pipeline.audio.ffmpeg.sandbox import Level
from pipeline.errors import SandboxFailed, UnsupportedValue

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_CPU_SECONDS = 3600
_PCM_RATE = 24_000  # Hz, of the format "pcm"
_SAMPLE_BYTES = 2
_OUTPUTS: dict[str, dict[str, Any]] = {  # ffmpeg's options; -b:a is what speech needs and not more
    "mp3": {"format": "mp3", "c:a": "libmp3lame", "b:a": "64k", "id3v2_version": 0},
    "opus": {"format": "opus", "c:a": "libopus", "b:a": "48k", "page_duration": 100_000},  # µs: a first page soon
    "aac": {"format": "adts", "c:a": "aac", "b:a": "64k"},
    "flac": {"format": "flac", "c:a": "flac"},
    "wav": {},  # written here
    "pcm": {"format": "s16le", "c:a": "pcm_s16le", "ar": _PCM_RATE},
}


def encode(
    pcm: Iterable[bytes],
    *,
    sample_rate: int,
    target: str,
    level: Level = "limits",
    stall_seconds: float = STALL_SECONDS,
) -> Iterator[bytes]:
    """Encode mono s16le samples, in blocks cut anywhere, while they come; "pcm" is 24 kHz s16le mono.

    Raises UnsupportedValue for an unknown `target`; while iterated SandboxFailed, and whatever `pcm` raises. Closing the
    iterator ends ffmpeg; `pcm` is read in a thread of its own, which ends with the block that it waits for.
    """
    if target not in _OUTPUTS:
        allowed = ", ".join(_OUTPUTS)
        raise UnsupportedValue(f"'{target}' is not a speech format. Supported: {allowed}", param="response_format")
    if target == "wav" or (target == "pcm" and sample_rate == _PCM_RATE):
        return _as_it_is(pcm, wav_header(sample_rate) if target == "wav" else b"")
    return _encoded(pcm, _arguments(sample_rate, target), level, stall_seconds)


def wav_header(sample_rate: int) -> bytes:
    """Of a mono s16le stream whose length nobody knows yet: its sizes are 0xFFFFFFFF, as streaming encoders write them."""
    layout = struct.pack("<HHIIHH", 1, 1, sample_rate, _SAMPLE_BYTES * sample_rate, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES)
    return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + layout + b"data\xff\xff\xff\xff"


def _as_it_is(pcm: Iterable[bytes], header: bytes) -> Iterator[bytes]:
    """Samples that need no encoder, and so no process to wait for: the first block leaves when it comes."""
    try:
        pending = b""
        for block in pcm:
            data = pending + block
            whole = len(data) - len(data) % _SAMPLE_BYTES
            pending = data[whole:]
            if whole:
                yield header + data[:whole]
                header = b""
        if header:
            yield header
    finally:
        if isinstance(pcm, Generator):
            pcm.close()


def _encoded(pcm: Iterable[bytes], arguments: list[str], level: Level, stall_seconds: float) -> Iterator[bytes]:
    feeder = _Feeder(pcm)
    tool = find_ffmpeg()
    with Child(
        tool,
        arguments,
        level=level,
        cpu_seconds=_CPU_SECONDS,
        stdin=subprocess.PIPE,
        stall_seconds=stall_seconds,
        excused=feeder.waits,
    ) as child:
        assert child.stdin
        feeder.start(child.stdin)
        while block := child.read():
            yield block
        if child.returncode and feeder.waits():
            raise SandboxFailed("ffmpeg stopped encoding.")
        feeder.finish()
        if child.returncode:
            raise SandboxFailed("ffmpeg could not encode this.")


def _arguments(sample_rate: int, target: str) -> list[str]:
    source = ffmpeg.input(
        "pipe:0", protocol_whitelist="pipe", analyzeduration=0, format="s16le", ar=sample_rate, ac=1, probesize=32
    )
    output = source.output("pipe:1", map_metadata=-1, flush_packets=1, fflags="+bitexact", **_OUTPUTS[target])
    arguments: list[str] = output.compile(cmd=[*QUIETLY, "-loglevel", "warning", "-nostats"])
    return arguments


class _Feeder:
    """The thread that carries the source's blocks to ffmpeg, so that its output is never behind a slow source."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = source
        self._error: BaseException | None = None
        self._asking = True
        self._thread: threading.Thread | None = None

    def start(self, sink: IO[bytes]) -> None:
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._run, sink), name="encode-feeder", daemon=True
        )
        self._thread.start()

    def waits(self) -> bool:
        """Whether the source is being asked right now, so that nothing can come out."""
        return self._asking

    def finish(self) -> None:
        """Wait for its end. Raises what the source raised."""
        assert self._thread
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self, sink: IO[bytes]) -> None:
        try:
            for block in self._source:
                self._asking = False
                if not _written(block, sink):
                    break
                self._asking = True
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is read
            self._error = error
        finally:
            self._asking = False
            with contextlib.suppress(BrokenPipeError):
                sink.close()
            if isinstance(self._source, Generator):
                self._source.close()


def _written(block: bytes, sink: IO[bytes]) -> bool:
    """False when ffmpeg is gone: its listener left, or its exit code tells why."""
    left = memoryview(block)
    try:
        while left:
            left = left[sink.write(left) :]
    except BrokenPipeError:
        return False
    return True
