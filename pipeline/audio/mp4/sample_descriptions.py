"""How the samples of a track in an MP4 are described (ISO/IEC 14496-12, 8.5.2), and what ffmpeg makes of several descriptions."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4_boxes import Box, boxes

_MOST, _MOST_BYTES = 1000, 1 << 20
_REFERENCE = slice(14, 16)  # bytes of one: the number of the file that the samples are in
_ESDS = 8  # bytes before what that box holds
_STREAM, _DECODER, _TOLD = 3, 4, 5  # descriptors, each inside the one before,
_LENGTH_BYTES = 4
_STREAM_BYTES, _DECODER_BYTES = 3, 13  # behind so much of it
# mp3, Opus, FLAC, AC-3, E-AC-3, AMR: their frames tell a decoder all that it needs.
_FOLLOWED = (b".mp3", b"mp4a\x69", b"mp4a\x6b", b"Opus", b"fLaC", b"ac-3", b"ec-3", b"samr", b"sawb")
_HANDED_ON = (b"mp4a\x40", b"mp4a\x66", b"mp4a\x67", b"mp4a\x68")  # AAC, to whose decoder ffmpeg hands each description
_LINEAR = (b"sowt", b"twos", b"raw ", b"lpcm", b"in24", b"in32", b"fl32", b"fl64", b"ulaw", b"alaw", b"ipcm", b"fpcm")


def descriptions(read: Read, table: Box) -> list[bytes]:
    """All that a box `stsd` holds. Raises ValueError and struct.error where it makes no sense, and what `read` does."""
    (count,) = struct.unpack(">I", read(table.content + 4, 4))
    found = list(boxes(read, table.content + 8, table.end))[:count]
    is_odd = not found or len(found) != count or found[-1].end > table.end
    if is_odd or count > _MOST or table.end - table.at > _MOST_BYTES:
        raise ValueError
    return [read(box.at, box.end - box.at) for box in found]


def is_followed(described: Sequence[bytes], *, in_pieces: bool) -> bool:
    """Whether one decoder goes on from samples of one description to those of another, and all are in one file. In pieces ffmpeg
    hands on none but the first."""
    (codec, _), *others = {(_codec(one)[0], one[_REFERENCE]) for one in described}
    if others or codec not in _HANDED_ON:
        return not others and codec in _FOLLOWED
    return not in_pieces or len({_codec(one) for one in described}) == 1


def is_described_first(described: Sequence[bytes]) -> bool:
    """Whether it is the first of the descriptions that ffmpeg believes: of linear samples it is the last."""
    return all(one[4:8] not in _LINEAR for one in described)


def _codec(description: bytes) -> tuple[bytes, bytes]:
    """(its name; of what several codecs hide behind, with the number of the one; what its decoder is told, where that stands there)
    (ISO/IEC 14496-1, 7.2.6.6 and 7.2.6.7)."""
    name, at = description[4:8], description.find(b"esds")
    if name != b"mp4a" or at < 0:
        return name, b""
    stream = _inside(description[at + _ESDS :], _STREAM)
    decoder = _inside(stream[_STREAM_BYTES:], _DECODER)
    return name + decoder[:1], _inside(decoder[_DECODER_BYTES:], _TOLD)


def _inside(data: bytes, tag: int) -> bytes:
    """What the descriptor holds that begins there; nothing where another one does."""
    at = 1
    while at < _LENGTH_BYTES and data[at : at + 1] >= b"\x80":  # seven bits in each byte but the last
        at += 1
    length = int("".join(f"{byte & 0x7F:07b}" for byte in data[1 : at + 1]) or "0", 2)
    return data[at + 1 : at + 1 + length] if data[:1] == bytes([tag]) else b""
