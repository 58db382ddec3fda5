"""How many samples each packet of a codec brings, by the few bytes that say so; nothing is decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from pipeline.audio.containers.flac_headers import flac_frame
from pipeline.audio.containers.surround_frames import surround_frame
from pipeline.audio.duration.aac import FRAME_SAMPLES
from pipeline.audio.duration.opus_packets import packet_samples
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.mpeg_frames import mpeg_frame
from pipeline.audio.seek.walks.vorbis_modes import VorbisModes

LOOK = 18  # bytes of a packet that are looked at
_SAMPLE_BYTES = {"8": 1, "u8": 1, "s8": 1, "16": 2, "24": 3, "32": 4, "64": 8, "mulaw": 1, "alaw": 1}
_NELLYMOSER = 64, 256  # bytes and samples of a block


class PacketSizes(ABC):
    """Takes the packets of one stream in order. `unready`: a decoder that begins with any of them makes nothing of that one."""

    unready = False

    @abstractmethod
    def samples(self, head: bytes, size: int) -> int:
        """Of the next packet, of `size` bytes, that begins with these. Raises ValueError for what is none, or not plain."""


class _Fixed(PacketSizes):
    def __init__(self, samples: int) -> None:
        self._samples = samples

    def samples(self, head: bytes, size: int) -> int:
        if not size:
            raise ValueError
        return self._samples


class _Opus(PacketSizes):
    def samples(self, head: bytes, size: int) -> int:
        return packet_samples(head[0], head[1] if size > 1 else 0)


class _Bytes(PacketSizes):
    """So many samples of every channel in a block of so many bytes."""

    def __init__(self, block: int, samples: int) -> None:
        self._block, self._samples = block, samples

    def samples(self, head: bytes, size: int) -> int:
        if not size or size % self._block:
            raise ValueError
        return size // self._block * self._samples


class _Mpeg(PacketSizes):
    """One frame each, of one kind."""

    def __init__(self) -> None:
        self._lengths: dict[bytes, tuple[int, int]] = {}  # headers repeat, so each is understood once
        self._first: bytes = b""

    def samples(self, head: bytes, size: int) -> int:
        header = head[:4]
        known = self._lengths.get(header)
        if known is None:
            self._first = self._first or header
            frame, first = mpeg_frame(header), mpeg_frame(self._first)
            if frame is None or first is None or not frame.same_stream(first):
                raise ValueError
            known = self._lengths[header] = frame.length, frame.samples
        if known[0] != size:
            raise ValueError
        return known[1]


class _Surround(PacketSizes):
    def __init__(self, rate: int) -> None:
        self._rate = rate

    def samples(self, head: bytes, size: int) -> int:
        frame = surround_frame(head.ljust(LOOK, b"\0"), 0)
        if frame is None or frame[0] != size:
            raise ValueError
        return round(frame[1] * self._rate)


class _Flac(PacketSizes):
    def samples(self, head: bytes, size: int) -> int:
        frame = flac_frame(head[:16])
        if frame is None:
            raise ValueError
        return frame.samples


class _Vorbis(PacketSizes):
    """Half of each of two neighbours overlaps, so that what one brings depends on the one before."""

    unready = True

    def __init__(self, modes: VorbisModes) -> None:
        self._modes, self._before = modes, 0

    def samples(self, head: bytes, size: int) -> int:
        if not size or head[0] & 1:
            raise ValueError
        now, before = self._modes.block(head[0]), self._before
        self._before = now
        return (before + now) // 4 if before else 0


def packet_sizes(sound: AudioStream, setup: bytes = b"") -> PacketSizes | None:
    """Of the codec of that track; None where that cannot be told. `setup`: Vorbis' first and third header."""
    if sound.codec == "vorbis":
        modes = VorbisModes.of(setup)
        return _Vorbis(modes) if modes else None
    if kind := _KINDS.get(sound.codec):
        return kind(sound)
    width = sample_bytes(sound.codec)
    return _Bytes(width * sound.channels, 1) if width and sound.channels else None


_KINDS: Mapping[str, Callable[[AudioStream], PacketSizes]] = {
    "opus": lambda _: _Opus(),
    "aac": lambda _: _Fixed(FRAME_SAMPLES),
    "mp3": lambda _: _Mpeg(),
    "mp2": lambda _: _Mpeg(),
    "ac3": lambda sound: _Surround(sound.sample_rate),
    "dts": lambda sound: _Surround(sound.sample_rate),
    "flac": lambda _: _Flac(),
    "nellymoser": lambda _: _Bytes(*_NELLYMOSER),
}


def sample_bytes(codec: str) -> int:
    """Bytes of one sample of PCM, 0 of anything else."""
    if not codec.startswith("pcm_"):
        return 0
    kind = codec.removeprefix("pcm_").removesuffix("le").removesuffix("be")
    return _SAMPLE_BYTES.get(kind) or _SAMPLE_BYTES.get(kind[1:], 0)
