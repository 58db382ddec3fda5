"""What stands before the frames of FLAC (RFC 9639, section 8): the stream's description, and other blocks of metadata."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read

MARK = b"fLaC"
_STREAMINFO, _LAST = 0, 0x80
_SIZE = 34  # bytes of the description, which is always the first block
_MOST_BLOCKS = 128
_RATES = range(1, 655_351)  # Hz
_SHORTEST_BLOCK = 16  # samples
_FRAMES = (b"\xff\xf8", b"\xff\xf9")  # how a frame begins: of blocks of one length, or of several


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """`samples` is 0 where the encoder did not know it; `end` is where the frames begin."""

    rate: int
    channels: int
    bits: int
    samples: int
    blocks: tuple[int, int]  # samples in the shortest and in the longest
    end: int


def flac_header(read: Read, at: int) -> FlacHeader | None:
    """The header that begins at `at`; None where none does, or no frame follows it."""
    info = read(at + 8, _SIZE)
    if read(at, 4) != MARK or len(info) < _SIZE or read(at + 4, 4)[0] & ~_LAST != _STREAMINFO:
        return None
    end = _end(read, at + 4)
    if end is None or read(end, 2) not in _FRAMES:
        return None
    packed = int.from_bytes(info[10:18], "big")
    blocks = (int.from_bytes(info[:2], "big"), int.from_bytes(info[2:4], "big"))
    rate = packed >> 44
    if rate not in _RATES or not _SHORTEST_BLOCK <= blocks[0] <= blocks[1]:
        return None
    return FlacHeader(rate, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1, blocks, end)


def _end(read: Read, at: int) -> int | None:
    for _ in range(_MOST_BLOCKS):
        header = read(at, 4)
        at += 4 + int.from_bytes(header[1:], "big")
        if not header:
            return None
        if header[0] & _LAST:
            return at
    return None
