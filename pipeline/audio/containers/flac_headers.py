"""Headers of FLAC (RFC 9639): the stream's, which describes it (section 8), and that of each frame (section 9.1)."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read

MARK = b"fLaC"
_STREAMINFO, _LAST = 0, 0x80
_SIZE = 34  # bytes of the description, which is always the first block
_MOST_BLOCKS = 128
_RATES = range(1, 655_351)  # Hz
_SHORTEST_BLOCK = 16  # samples
FRAME_MARKS = (b"\xff\xf8", b"\xff\xf9")  # how a frame begins: of blocks of one length, or of several
_SHORTEST_HEADER = 6  # bytes
LONGEST_FRAME_HEADER = 16
_BLOCKS = {1: 192} | {code: 576 << code - 2 for code in range(2, 6)} | {code: 256 << code - 8 for code in range(8, 16)}
_BLOCK_BYTES, _RATE_BYTES = {6: 1, 7: 2}, {12: 1, 13: 2, 14: 2}  # where a length or a rate follows, by its code


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """`samples` is 0 where the encoder did not know it; `end` is where the frames begin."""

    rate: int
    channels: int
    bits: int
    samples: int
    blocks: tuple[int, int]  # samples in the shortest and in the longest
    end: int


@dataclass(frozen=True, slots=True)
class FlacFrame:
    """`number` counts frames, or samples in a stream whose blocks are not of one length; `layout` is what else a header says of
    its sound: rate, channels, bits, as codes. `size` are the bytes of the header with its checksum."""

    number: int
    samples: int
    layout: tuple[int, int, int]
    in_samples: bool
    size: int


def flac_frame(header: bytes) -> FlacFrame | None:
    """The frame that begins with these LONGEST_FRAME_HEADER bytes; None where their checksum says that none does."""
    coded = _coded_length(header[4]) if len(header) >= _SHORTEST_HEADER and header[:2] in FRAME_MARKS else 0
    block, rate = (header[2] >> 4, header[2] & 15) if coded else (0, 0)
    blocks_at = 4 + coded
    rate_at = blocks_at + _BLOCK_BYTES.get(block, 0)
    end = rate_at + _RATE_BYTES.get(rate, 0)
    if not block or len(header) <= end or _crc8(header[:end]) != header[end]:
        return None
    samples = _BLOCKS.get(block) or int.from_bytes(header[blocks_at:rate_at], "big") + 1
    layout = (int.from_bytes(header[rate_at:end], "big") << 4 | rate, header[3] >> 4, header[3] >> 1 & 7)
    return FlacFrame(_coded(header[4:blocks_at]), samples, layout, header[1] == FRAME_MARKS[1][1], end + 1)


def flac_header(read: Read, at: int) -> FlacHeader | None:
    """The header that begins at `at`; None where none does, or no frame follows it."""
    info = read(at + 8, _SIZE)
    if read(at, 4) != MARK or len(info) < _SIZE or read(at + 4, 4)[0] & ~_LAST != _STREAMINFO:
        return None
    end = _end(read, at + 4)
    if end is None or read(end, 2) not in FRAME_MARKS:
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


def _coded_length(first: int) -> int:
    """Bytes of a number that is written as UTF-8 writes characters, up to 36 bits; 0 where none begins so."""
    ones = 8 - (first ^ 0xFF).bit_length()
    return 1 if not ones else ones if ones in range(2, 8) else 0


def _coded(number: bytes) -> int:
    value = number[0] if len(number) == 1 else number[0] & (0x7F >> len(number))
    for byte in number[1:]:
        value = value << 6 | byte & 0x3F
    return value


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc8_table() -> bytes:
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
        table.append(crc & 0xFF)
    return bytes(table)


_CRC8 = _crc8_table()
