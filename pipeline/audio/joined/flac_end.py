"""Where a FLAC ends: behind the frame of the highest number, at the byte that makes its checksum right (RFC 9639, section 9)."""

from __future__ import annotations

import re

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.flac_checksum import whole_frames
from pipeline.audio.containers.flac_headers import FRAME_MARKS, LONGEST_FRAME_HEADER, FlacHeader, flac_frame
from pipeline.audio.containers.table import FLAC
from pipeline.audio.joined.trailers import past_trailers
from pipeline.audio.joined.window import Window
from pipeline.audio.sniff import sniff_file
from pipeline.errors import StenopoolError

_TAIL, _BLOCK = 128 * 1024, 1024 * 1024  # bytes that are looked at first, and at once
_LOOK = 16 * 1024  # bytes that tell what begins at a place
_POLYNOMIAL = 0x8005
_ONE_BYTE = 0x80
_NO_SOUND = 1024  # bytes; fewer hold none
_LEAST_TRAILER = 16  # bytes; fewer may look like one by chance
_ZEROS = bytes(_LEAST_TRAILER)  # that leave a checksum as it is
_MOST_ENDS = 50  # places where the checksum is right by chance or because the frame ends


def last_frame(read: Read, header: FlacHeader, size: int) -> int | None:
    """Where it begins; None where its number is not known, or it is not there."""
    if not header.samples or header.blocks[0] != header.blocks[1]:
        return None
    number = (header.samples - 1) // header.blocks[1]
    mark = re.compile(re.escape(FRAME_MARKS[0]) + b".." + re.escape(_coded(number)), re.DOTALL)
    at = max(header.end, size - _TAIL)
    near = _found(read, mark, at, size)
    return near if near is not None or at == header.end else _found(read, mark, header.end, at)


def frame_end(read: Read, header: FlacHeader, at: int, size: int) -> int | None:
    """Where the frame at `at` ends, as far as what is behind it shows; None where it does not."""
    longest = header.blocks[1] * header.channels * (header.bits + 7) // 8 + 1024
    data = read(at, min(longest, size - at))
    if at + len(data) == size and not data.endswith(_ZEROS) and whole_frames(data, [0]):
        return size
    ends = [at + end for end in _ends(data)]
    last = ends[-1] if ends and size - ends[-1] < _NO_SOUND else None  # by chance it is right earlier, hardly once more
    return next((end for end in ends if end == size or _is_front(read, end, size)), last)


def _found(read: Read, mark: re.Pattern[bytes], at: int, end: int) -> int | None:
    for begin in range(at, end, _BLOCK):
        block = read(begin, min(_BLOCK, end - begin) + LONGEST_FRAME_HEADER)
        for match in mark.finditer(block):
            if flac_frame(block[match.start() : match.start() + LONGEST_FRAME_HEADER]):
                return begin + match.start()
    return None


def _ends(data: bytes) -> list[int]:
    """Where the checksum so far becomes right; zeros behind that leave it so."""
    crc, found = 0, list[int]()
    for place, byte in enumerate(data, 1):
        before, crc = crc, _TABLE[crc >> 8 ^ byte] ^ (crc << 8 & 0xFFFF)
        if before and not crc:
            found.append(place)
    return found[:_MOST_ENDS]


def _is_front(read: Read, at: int, size: int) -> bool:
    """Whether something may begin here: a recording, or a tag or padding of some length."""
    if past_trailers(Window(read, size), at, FLAC) - at >= _LEAST_TRAILER:
        return True
    try:
        found = sniff_file(lambda offset: read(at + offset, min(_LOOK, max(0, size - at - offset))))
    except StenopoolError:
        return False
    return not found.start


def _coded(number: int) -> bytes:
    """As UTF-8 writes characters, up to 36 bits."""
    if number < _ONE_BYTE:
        return bytes([number])
    more = next(count for count in range(1, 7) if number < 1 << (6 * count + max(0, 6 - count)))
    first = (0xFF00 >> (more + 1) & 0xFF) | number >> 6 * more
    return bytes([first, *(0x80 | number >> 6 * place & 0x3F for place in reversed(range(more)))])


def _table() -> list[int]:
    rows = []
    for value in range(256):
        crc = value << 8
        for _ in range(8):
            crc = (crc << 1 ^ _POLYNOMIAL if crc & 0x8000 else crc << 1) & 0xFFFF
        rows.append(crc)
    return rows


_TABLE = _table()
