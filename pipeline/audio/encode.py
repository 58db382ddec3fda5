"""Speech out: mono samples in, one of the six formats of the speech endpoint out, both streaming.

WAV and FLAC tell their length in a header that is sent first. It tells the true one where that is known by then: to whoever says
it beforehand, or waits a moment for the last sample. Else it says what streaming encoders say, which strict readers do not like.

What is encoded are samples that an engine of ours or a provider made, never a stranger's file: there is nothing to parse, so
ffmpeg runs under limits only, which spares the listener the time that a stronger cell takes to build.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator
from hashlib import md5
from typing import Any

import ffmpeg

from pipeline.audio.ffmpeg.arguments import QUIETLY
from pipeline.audio.ffmpeg.binary import find_ffmpeg
from pipeline.audio.ffmpeg.feeder import Feeder
from pipeline.audio.ffmpeg.process import STALL_SECONDS, Child
from pipeline.audio.ffmpeg.sandbox import Level
from pipeline.concurrency.read_ahead import ReadAhead
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
_WITH_LENGTH = ("wav", "flac")  # formats whose header tells the length
_UNSAID, _WAV_HEADER = 0xFFFFFFFF, 36  # a length of 32 bits that is none; bytes of a header that RIFF's length counts
_FLAC_COUNT = slice(18, 26)  # STREAMINFO's eight bytes whose low 36 bits are the number of samples
_FLAC_SUM = slice(26, 42)  # the MD5 of all samples
_OUTPUTS: dict[str, dict[str, Any]] = {  # ffmpeg's options; -b:a is what speech needs and not more
    "mp3": {"format": "mp3", "c:a": "libmp3lame", "b:a": "64k", "id3v2_version": 0},
    "opus": {"format": "opus", "c:a": "libopus", "b:a": "48k", "page_duration": 100_000},  # µs: a first page soon
    "aac": {"format": "adts", "c:a": "aac", "b:a": "64k"},
    "flac": {"format": "flac", "c:a": "flac"},
    "wav": {},  # written here
    "pcm": {"format": "s16le", "c:a": "pcm_s16le", "ar": _PCM_RATE},
}
# For listening while one reads: 11 MB an hour. The encoder's least effort takes a third of the time of its greatest.
_SMALL_OPUS: dict[str, Any] = {
    "format": "opus",
    "c:a": "libopus",
    "application": "voip",
    "b:a": "24k",
    "frame_duration": 60,
    "compression_level": 0,
}


def encode(
    pcm: Iterable[bytes],
    *,
    sample_rate: int,
    target: str,
    samples: int | None = None,
    patience: float = 0.0,
    level: Level = "limits",
    stall_seconds: float = STALL_SECONDS,
) -> Iterator[bytes]:
    """Encode mono s16le samples, in blocks cut anywhere, while they come; "pcm" is 24 kHz s16le mono.

    `samples`: how many will come, where that is known. Else WAV and FLAC are held back until the last block has come, or for
    `patience` seconds after the first; then they begin, in the form of a stream.

    Raises UnsupportedValue for an unknown `target`; while iterated SandboxFailed, and whatever `pcm` raises. Closing the
    iterator ends ffmpeg; `pcm` is read in a thread of its own, which ends with the block that it waits for.
    """
    if target not in _OUTPUTS:
        allowed = ", ".join(_OUTPUTS)
        raise UnsupportedValue(f"'{target}' is not a speech format. Supported: {allowed}", param="response_format")
    length = _Length(pcm, samples, patience) if target in _WITH_LENGTH else None
    pcm = length.passing() if length else pcm
    if length and target == "wav":
        return _as_it_is(pcm, lambda: wav_header(sample_rate, length.samples()))
    if target == "pcm" and sample_rate == _PCM_RATE:
        return _as_it_is(pcm, bytes)
    encoded = _encoded(pcm, _arguments(sample_rate, _OUTPUTS[target]), level, stall_seconds)
    return _described(encoded, length) if length else encoded


def encode_small(pcm: Iterable[bytes], *, sample_rate: int) -> Generator[bytes]:
    """The same as a small Ogg Opus, some three hundred times as fast as it plays."""
    return _encoded(pcm, _arguments(sample_rate, _SMALL_OPUS), "limits", STALL_SECONDS)


def wav_header(sample_rate: int, samples: int | None = None) -> bytes:
    """Of mono s16le: with its length, up to 4 GiB, or where nobody knows it yet 0xFFFFFFFF, as streaming encoders write it."""
    layout = struct.pack("<HHIIHH", 1, 1, sample_rate, _SAMPLE_BYTES * sample_rate, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES)
    size = _UNSAID if samples is None else min(_SAMPLE_BYTES * samples, _UNSAID - _WAV_HEADER)
    whole = size if samples is None else size + _WAV_HEADER
    return struct.pack("<4sI8sI16s4sI", b"RIFF", whole, b"WAVEfmt ", len(layout), layout, b"data", size)


class _Length:
    """How many samples of a sound there will be: as said beforehand, or seen where its end comes soon."""

    def __init__(self, pcm: Iterable[bytes], samples: int | None, patience: float) -> None:
        self._said, self._patience = samples, patience
        self._bytes, self._sum = 0, md5(usedforsecurity=False)
        self._pcm: Iterable[bytes] = pcm
        self._ahead = ReadAhead(self._counted(pcm)) if samples is None and patience else None

    def passing(self) -> Iterable[bytes]:
        """The sound."""
        return self._ahead or self._pcm

    def samples(self) -> int | None:
        """None where it is not known; waits for it."""
        if self._ahead is None:
            return self._said
        return self._bytes // _SAMPLE_BYTES if self._ahead.ends_within(self._patience) else None

    def checksum(self) -> bytes:
        """Of all samples, where they were seen to end; zeros mean that it is not known."""
        return self._sum.digest() if self._ahead and not self._bytes % _SAMPLE_BYTES else bytes(16)

    def _counted(self, pcm: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for block in pcm:
                self._bytes += len(block)
                self._sum.update(block)
                yield block
        finally:
            if isinstance(pcm, Generator):
                pcm.close()


def _as_it_is(pcm: Iterable[bytes], header: Callable[[], bytes]) -> Iterator[bytes]:
    """Samples that need no encoder, and so no process to wait for: the first block leaves when it comes."""
    try:
        pending, head = b"", None
        for block in pcm:
            data = pending + block
            whole = len(data) - len(data) % _SAMPLE_BYTES
            pending = data[whole:]
            if whole:
                head = header() if head is None else b""
                yield head + data[:whole]
        if head is None:
            yield header()
    finally:
        if isinstance(pcm, Generator | ReadAhead):
            pcm.close()


def _described(flac: Iterator[bytes], length: _Length) -> Iterator[bytes]:
    """The same file with its length and checksum in the header: without them players cannot tell its length, nor seek."""
    head = b""
    try:
        for block in flac:
            head += block
            if len(head) >= _FLAC_SUM.stop:
                break
        if samples := length.samples():
            count = int.from_bytes(head[_FLAC_COUNT], "big") | samples
            head = head[: _FLAC_COUNT.start] + count.to_bytes(8, "big") + length.checksum() + head[_FLAC_SUM.stop :]
        yield head
        yield from flac
    finally:
        if isinstance(flac, Generator):
            flac.close()


def _encoded(pcm: Iterable[bytes], arguments: list[str], level: Level, stall_seconds: float) -> Generator[bytes]:
    feeder = Feeder(pcm)
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


def _arguments(sample_rate: int, form: dict[str, Any]) -> list[str]:
    source = ffmpeg.input(
        "pipe:0", protocol_whitelist="pipe", analyzeduration=0, format="s16le", ar=sample_rate, ac=1, probesize=32
    )
    output = source.output("pipe:1", map_metadata=-1, flush_packets=1, fflags="+bitexact", **form)
    arguments: list[str] = output.compile(cmd=[*QUIETLY, "-loglevel", "warning", "-nostats"])
    return arguments
