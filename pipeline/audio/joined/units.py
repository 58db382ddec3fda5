"""Streams that are one small unit behind the other: frames, pages, packets, blocks. Each says how long it is, and nothing how many
there are: such a recording ends where no unit follows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.audio.containers import ogg_pages
from pipeline.audio.containers.link_syntax import amr_frame
from pipeline.audio.containers.surround_frames import surround_frame
from pipeline.audio.containers.table import AAC, AC3, DTS, EAC3, FLV, MP3, MPEG, MPEGTS, OGG, VOC, WAVPACK, Container
from pipeline.audio.containers.voc_blocks import MAGIC, block_length, first_block
from pipeline.audio.joined import flv_tags
from pipeline.audio.joined.window import Window
from pipeline.audio.mpeg_frames import adts_frame, mpeg_frame

_LONGEST_PAGE = ogg_pages.LONGEST_HEADER
_PACKETS, CERTAIN_PACKETS = 1000, 5  # of a transport stream that are looked at together, and that prove it
_AC3_SYNC = b"\x0b\x77"
_SPACINGS = (188, 192, 204)
LONGEST_SPACING = _SPACINGS[-1]
_PROGRAM_END, _PACK = 0xB9, 0xBA  # of a program stream; above them are packets
_PACK_HEADER, _OLD_PACK_HEADER = 14, 12  # bytes
_WAVPACK_VERSIONS, _WAVPACK_MAJOR = range(0x02, 0x11), 0x04  # the two bytes of a version


@dataclass(frozen=True)
class Units:
    """`length(window, at)`: bytes of the unit at `at`, 0 where there is none. `mark`: how one begins, to find the next behind
    damage; None where that could be anything."""

    length: Callable[[Window, int], int]
    mark: re.Pattern[bytes] | None = None
    again: int = 4  # of them in a row prove that it goes on behind damage


def _mpeg_audio(window: Window, at: int) -> int:
    return _mpeg_length(window.head(at, 4))


@lru_cache(maxsize=1024)  # headers repeat
def _mpeg_length(header: bytes) -> int:
    frame = mpeg_frame(header)
    return frame.length if frame else 0


def _adts(window: Window, at: int) -> int:
    frame = adts_frame(window.head(at, 7), 0)
    return frame[0] if frame else 0


def _surround(window: Window, at: int) -> int:
    """AC-3, enhanced or not: both may follow each other in one stream."""
    head = window.head(at, 18)
    frame = surround_frame(head, 0) if head[:2] == _AC3_SYNC else None
    return frame[0] if frame else 0


def _dts(window: Window, at: int) -> int:
    head = window.head(at, 18)
    frame = surround_frame(head, 0) if head[:2] != _AC3_SYNC else None
    return frame[0] if frame else 0


def _page(window: Window, at: int) -> int:
    head = window.head(at, _LONGEST_PAGE)
    found = ogg_pages.page(lambda offset, length: head[offset : offset + length], 0)
    return found.end if found else 0


@dataclass(frozen=True, slots=True)
class PacketRun:
    """So many packets of a transport stream, one each `spacing` bytes, of which `mark` precede it."""

    many: int
    spacing: int
    mark: int


def packet_run(window: Window, at: int) -> PacketRun | None:
    """All that follow each other, as far as is looked at once. In cameras' files a clock of four bytes precedes each."""
    for spacing in _SPACINGS:
        mark = 4 if spacing == _SPACINGS[1] and window.head(at, 1) != b"G" else 0
        marks = window.head(at + mark, spacing * _PACKETS)[::spacing]
        many = len(marks) - len(marks.lstrip(b"G"))
        if many >= CERTAIN_PACKETS or (many and at + (many + 1) * spacing > window.size):
            return PacketRun(many, spacing, mark)
    return None


def _packets(window: Window, at: int) -> int:
    run = packet_run(window, at)
    return run.many * run.spacing if run else 0


def _packs(window: Window, at: int) -> int:
    head = window.head(at, _PACK_HEADER).ljust(_PACK_HEADER, b"\0")
    if head[:3] != b"\0\0\1" or head[3] < _PROGRAM_END:
        return 0
    if head[3] == _PROGRAM_END:
        return 4
    if head[3] == _PACK:
        return _PACK_HEADER + (head[13] & 7) if head[4] >> 6 == 1 else _OLD_PACK_HEADER
    return 6 + int.from_bytes(head[4:6], "big")


def _wavpack(window: Window, at: int) -> int:
    head = window.head(at, 10).ljust(10, b"\0")
    known = head[:4] == b"wvpk" and head[8] in _WAVPACK_VERSIONS and head[9] == _WAVPACK_MAJOR
    return 8 + int.from_bytes(head[4:8], "little") if known else 0


def _voc(window: Window, at: int) -> int:
    """The last block has no length; nor has the header, which says where the first begins."""
    head = window.head(at, len(MAGIC) + 2)
    return first_block(head) if head.startswith(MAGIC) else block_length(head)


def amr_units(*, wide: bool) -> Units:
    """Frames of AMR, whose one byte of a header says little: no damage is told by it, but where nothing stands in one, not even
    that it is whole, as no encoder leaves it."""
    lengths = [amr_frame(head, wide=wide) for head in range(256)]

    def length(window: Window, at: int) -> int:
        head = window.head(at, 1)
        return lengths[head[0]] if head and (head[0] or any(window.head(at, lengths[0]))) else 0

    return Units(length)


UNITS: Mapping[Container, Units] = {
    MP3: Units(_mpeg_audio, re.compile(rb"\xff(?=[\xe2-\xff])")),
    AAC: Units(_adts, re.compile(rb"\xff(?=[\xf0\xf1\xf8\xf9])")),
    AC3: Units(_surround, re.compile(re.escape(_AC3_SYNC))),
    EAC3: Units(_surround, re.compile(re.escape(_AC3_SYNC))),
    DTS: Units(_dts, re.compile(rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\0|\xff\x1f\0\xe8")),
    OGG: Units(_page, re.compile(rb"OggS\0"), again=1),
    MPEGTS: Units(_packets, re.compile(rb"G"), again=1),
    MPEG: Units(_packs, re.compile(rb"\x00\x00\x01\xba")),
    FLV: Units(flv_tags.tag_length, flv_tags.MARK),
    WAVPACK: Units(_wavpack, re.compile(rb"wvpk")),
    VOC: Units(_voc),
}
