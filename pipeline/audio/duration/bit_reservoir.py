"""Whether the frames of an mp3 are what an encoder wrote: each says where in the bytes of those before it its sound begins.

The sound of a frame may begin in room that earlier ones left over (ISO/IEC 11172-3, 2.4.2.7, `main_data_begin`), never in what
they used, and never before the first. Frames that were damaged, left out or joined do not fit together so. All frames at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.mpeg_frames import MpegFrame, mpeg_frame

Heads = NDArray[np.uint8]

_HEADER, _CHECKSUM = 4, 2  # bytes
_CRC_POLYNOMIAL, _CRC_START = 0x8005, 0xFFFF
_TAGS = (b"Xing", b"Info")
_TAG = 4  # bytes
_WORD = 4  # bytes that hold all that is asked of a granule
# Where `main_data_begin` ends and `part2_3_length` (12 bits) does, counted from the end of the first word of the side information;
# the second granule, of version 1 alone, has its length in the word at byte 8.
_BEGIN_SHIFT, _LENGTH_SHIFT = (23, 24), (2, 11)
_SECOND_AT, _SECOND_SHIFT = 8, 7
_LENGTH = 0xFFF


def fits(heads: Heads, frames: Sequence[int], end: int, kind: MpegFrame) -> bool:
    """Of the third layer in one channel: `frames` begin there, with those heads, and follow each other up to `end`."""
    last = mpeg_frame(heads[-1, :_HEADER].tobytes()) if len(heads) else None
    if last is None or frames[-1] + last.length != end:
        return False
    if _tagged(heads) or (kind.checked and not _checked(heads)):
        return False
    lengths = np.full(len(heads), last.length) if isinstance(frames, range) else np.diff(np.array([*frames, end]))
    return _in_order(heads[:, _side_at(kind) :], lengths, kind)


def frame_heads(data: bytes, frames: Sequence[int], kind: MpegFrame) -> Heads:
    """(frames, bytes): the first bytes of each, up to where a tag would stand behind its side information. A range of frames that
    are all as long as its step is looked at where it lies. Raises IndexError where the last one is shorter than that."""
    size = _side_at(kind) + side_bytes(kind) + _TAG
    if isinstance(frames, range):
        return np.frombuffer(data, np.uint8, len(frames) * frames.step, frames.start).reshape(-1, frames.step)[:, :size]
    return np.frombuffer(data, np.uint8)[np.array(frames)[:, None] + np.arange(size)]


def side_bytes(kind: MpegFrame) -> int:
    """How long the side information is."""
    return (17 if kind.mono else 32) if kind.version1 else (9 if kind.mono else 17)


def _side_at(kind: MpegFrame) -> int:
    return _HEADER + (_CHECKSUM if kind.checked else 0)


def _tagged(heads: Heads) -> bool:
    """Whether one of the frames is a tag as an encoder writes it in front of all: two recordings were joined."""
    behind = heads[:, -_TAG:].tobytes()
    return any(tag in behind and tag in _pieces(behind) for tag in _TAGS)


def _pieces(behind: bytes) -> set[bytes]:
    return {behind[at : at + _TAG] for at in range(0, len(behind), _TAG)}


def _in_order(side: Heads, lengths: NDArray[np.int64], kind: MpegFrame) -> bool:
    """Whether the sound of each frame begins behind that of the one before and ends in its own frame at the latest."""
    words = _words(side, 0)
    bits = words >> _LENGTH_SHIFT[not kind.version1] & _LENGTH
    if kind.version1:
        bits = bits + (_words(side, _SECOND_AT) >> _SECOND_SHIFT & _LENGTH)
    room = lengths - (_side_at(kind) + side_bytes(kind))
    behind = np.cumsum(room)
    begins = behind - room - (words >> _BEGIN_SHIFT[not kind.version1])
    ends = begins + (bits + 7 >> 3)
    return bool(begins[0] >= 0 and (begins[1:] >= ends[:-1]).all() and (ends <= behind).all())


def _words(side: Heads, at: int) -> NDArray[np.int64]:
    """Of each frame the number in the four bytes from `at` on."""
    return side[:, at : at + _WORD].copy().view(">u4")[:, 0].astype(np.int64)


def _checked(heads: Heads) -> bool:
    """Whether the checksum of the side information is right: over it and the header's last two bytes."""
    crc = np.full(len(heads), _CRC_START, np.uint16)
    for column in (*range(_HEADER - 2, _HEADER), *range(_HEADER + _CHECKSUM, heads.shape[1] - _TAG)):
        crc = crc << 8 ^ _CRC[(crc >> 8) ^ heads[:, column]]
    return bool(np.all(crc == heads[:, _HEADER].astype(np.uint16) << 8 | heads[:, _HEADER + 1]))


def _crc_table() -> NDArray[np.uint16]:
    table = np.arange(256, dtype=np.uint32) << 8
    for _ in range(8):
        table = np.where(table & 0x8000, table << 1 ^ _CRC_POLYNOMIAL, table << 1)
    return (table & 0xFFFF).astype(np.uint16)


_CRC = _crc_table()
