"""What a WAV says of its samples, where ffmpeg takes it at its word and is wrong.

WAVE_FORMAT_EXTENSIBLE tells two widths: of the container that a sample stands in, and of what is valid of it, at the top. ffmpeg
goes by the second, and reads 24 valid bits in 32 as three bytes each, or as a float: noise. The container's width decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

_EXTENSIBLE = 0xFFFE
_PCM = bytes.fromhex("0100000000001000800000aa00389b71")
_DECODERS = {8: "pcm_u8", 16: "pcm_s16le", 24: "pcm_s24le", 32: "pcm_s32le"}
_MOST_CHUNKS = 200
_SIZE = 40  # bytes of the extensible form


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
    if len(layout) < _SIZE or layout[24:40] != _PCM:
        return None
    kind, width, valid = struct.unpack_from("<H12xH2xH", layout)
    filled = kind != _EXTENSIBLE or not valid or (valid + 7) // 8 == width // 8
    return None if filled else _DECODERS.get(width)
