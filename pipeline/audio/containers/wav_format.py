"""What a WAV says of its samples, where ffmpeg takes it at its word and is wrong.

WAVE_FORMAT_EXTENSIBLE tells two widths: of the container that a sample stands in, and of what is valid of it, at the top. ffmpeg
goes by the second, and reads 24 valid bits in 32 as three bytes each, or as a float: noise. The container's width decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pipeline.audio.containers.chunks import Read, chunks
from pipeline.audio.containers.table import WAV
from pipeline.audio.containers.wav_layout import sample_layout

BESIDE_SOUND = (
    b"LIST",
    b"fact",
    b"bext",
    b"iXML",
    b"cue ",
    b"id3 ",
    b"ID3 ",
    b"JUNK",
    b"junk",
    b"PAD ",
    b"FLLR",
    b"smpl",
    b"inst",
)
_LAYOUT = struct.Struct("<HHIIHH")
_EXTENSIBLE = 0xFFFE
_PCM = bytes.fromhex("0100000000001000800000aa00389b71")
_DECODERS = {8: "pcm_u8", 16: "pcm_s16le", 24: "pcm_s24le", 32: "pcm_s32le"}
_MOST_CHUNKS = 200
_SIZE = 40  # bytes of the extensible form


@dataclass(frozen=True, slots=True)
class PlainSound:
    """One channel of linear samples of 16 bits: how many a second, the first byte of them, and the first behind them."""

    rate: int
    start: int
    end: int


def plain_sound(read: Read, at: int, size: int) -> PlainSound | None:
    """What a WAV holds that begins at `at` and ends at `size`, where nothing of it is to be judged: its lengths are those of the
    file, and beside one layout and one run of samples stands nothing but what is known to be no sound. None for all others.
    """
    walked = chunks(read, at, size, WAV)
    kept = [chunk for chunk in walked.found if chunk.name not in BESIDE_SOUND]
    if read(at, 4) != b"RIFF" or walked.end != size or [chunk.name for chunk in kept] != [b"fmt ", b"data"]:
        return None
    form, sound = kept
    layout = sample_layout(read(form.start, _LAYOUT.size))
    kind, channels, rate, _, width, bits = _LAYOUT.unpack(read(form.start, _LAYOUT.size).ljust(_LAYOUT.size, b"\0"))
    if (kind, channels, width, bits) != (1, 1, 2, 16) or not sound.length or sound.length % width:
        return None
    return PlainSound(rate, sound.start, sound.start + sound.length) if layout and not layout.is_mended else None


def padded_samples_decoder(head: bytes) -> str | None:
    """The decoder for samples in a wider container than they fill; None for all that ffmpeg understands by itself."""
    for name, start, length in islice(riff_chunks(head), _MOST_CHUNKS):
        if name == b"fmt ":
            return _decoder(head[start : start + min(length, _SIZE)])
    return None


def riff_chunks(head: bytes, order: str = "<") -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content begins, how long it says it is) of each chunk; ">" where numbers are big-endian."""
    offset = 12
    while offset + 8 <= len(head):
        name, length = struct.unpack_from(f"{order}4sI", head, offset)
        yield name, offset + 8, length
        offset += 8 + length + length % 2


def _decoder(layout: bytes) -> str | None:
    mended = sample_layout(layout)
    if len(layout) < _SIZE or layout[24:40] != _PCM or mended is None:
        return None
    kind, width, valid = struct.unpack_from("<H12xH2xH", layout)
    if mended.is_mended:
        return _DECODERS.get(8 * mended.block // mended.channels)
    filled = kind != _EXTENSIBLE or not valid or (valid + 7) // 8 == width // 8
    return None if filled else _DECODERS.get(width)
