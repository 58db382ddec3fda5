"""How far a recording reaches by its own structure: by the lengths that it states, or by walking through it to its last unit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from pipeline.audio.containers.chunks import Read, chunks, sound_chunk
from pipeline.audio.containers.ebml import segment
from pipeline.audio.containers.flac_headers import flac_header
from pipeline.audio.containers.link_syntax import SYNTAXES
from pipeline.audio.containers.table import (
    AIFF,
    AMR,
    ASF,
    AU,
    AVI,
    CAF,
    FLAC,
    MATROSKA,
    MP4,
    VOC,
    W64,
    WAV,
    Container,
    Found,
)
from pipeline.audio.joined.flac_end import frame_end, last_frame
from pipeline.audio.joined.programs import Programs
from pipeline.audio.joined.units import UNITS, Units, amr_units
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4_boxes import boxes

_MOST_STEPS = 1_000_000  # units that are walked through: some 7 hours of mp3, and half a second
_FEW_BOXES, _LONGEST_INDEX = 8, 1 << 20  # before and in the index of an MP4 in pieces
_MOST_OBJECTS, _OBJECT_HEADER = 1_000, 24  # of Windows Media
_VOC_END = b"\0"
_BOX_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \xa9-_")
_CUT_BOXES = (b"mdat", b"moov", b"moof", b"free", b"skip", b"wide", b"uuid")
_ASF_STREAMED = (
    50  # bytes of the object that holds the sound, where its writer could not go back to tell how many there are
)
_ASF_OBJECTS = tuple(  # how their names begin: header, sound, and four kinds of index
    bytes.fromhex(text) for text in ("3026b275", "3626b275", "90080033", "d329e2d6", "feb103f8", "d03fb73c")
)


@dataclass(frozen=True, slots=True)
class Extent:
    """`end`: the first byte that is not of the recording, if the structure tells that (`known`). What is joined to it begins there,
    or, where the recording itself is cut off or tells nothing, anywhere behind `last`."""

    last: int
    end: int
    known: bool = True


def extent(window: Window, found: Found, programs: Programs | None = None) -> Extent:
    """Of what begins at `found.start`. Never raises."""
    if units := UNITS.get(found.container):
        reached = walk(window, found.start, units, programs)
        ended = found.container is VOC and window.head(reached.end, 1) == _VOC_END
        return replace(reached, end=reached.end + 1) if ended else reached
    reader = _READERS.get(found.container)
    try:
        told = reader(window.read, found.start, window.size) if reader else None
    except (ArithmeticError, IndexError, ValueError, struct.error):
        told = None
    return told or Extent(found.start + 1, window.size, known=False)


def walk(window: Window, at: int, units: Units, programs: Programs | None = None) -> Extent:
    """From unit to unit; one that the end of the file cuts is the last. `programs` sees each."""
    last, size = at, window.size
    for _ in range(_MOST_STEPS):
        length = units.length(window, at) if at < size else 0
        if not length:
            return Extent(last, at)
        if programs:
            programs.see(window, at, length)
            if programs.ended:
                break
        last, at = at, at + length
        if at > size:
            return Extent(last + 1, size, known=False)
    return Extent(size, size, known=False)


def _chunked(container: Container, read: Read, at: int, size: int) -> Extent | None:
    sound = sound_chunk(chunks(read, at, size, container), container)
    if sound is None:
        return None
    if sound.length is None or sound.start + sound.length > size:
        return Extent(sound.start, size, known=False)
    return Extent(sound.start, sound.start + sound.length)


def _flac(read: Read, at: int, size: int) -> Extent | None:
    """Its frames have no length, but the last has a number that is known where all are of one length, and a checksum at its end."""
    header = flac_header(read, at)
    if header is None:
        return None
    last = last_frame(read, header, size)
    if last is None:
        return Extent(header.end, size, known=False)
    end = frame_end(read, header, last, size)
    return Extent(last, size, known=False) if end is None else Extent(last, end)


def _mp4(read: Read, at: int, size: int) -> Extent | None:
    """Boxes of any name that can be one; a second list of brands begins another file, but among pieces before more of them."""
    end, pieces = at, False
    for box in boxes(read, at, size):
        pieces |= box.name == b"moof"
        begins = box.name == b"ftyp" and box.at > at and not (pieces and _in_pieces(read, box.at, size))
        if begins or not _BOX_NAME.issuperset(box.name):
            break
        if box.end > size:
            return Extent(box.content, size, known=False) if box.name in _CUT_BOXES else Extent(at, end)
        end = box.end
    return Extent(at, end)


def _in_pieces(read: Read, at: int, size: int) -> bool:
    """Whether the index says that pieces follow."""
    index = next((box for box in islice(boxes(read, at, size), _FEW_BOXES) if box.name == b"moov"), None)
    return index is None or b"mvex" in read(index.content, min(_LONGEST_INDEX, index.end - index.content))


def _matroska(read: Read, at: int, size: int) -> Extent | None:
    outer = segment(read, at, size)
    if outer is None:
        return None
    whole = outer.end is not None and outer.end <= size
    return Extent(outer.start, outer.end or size) if whole else Extent(outer.start, size, known=False)


def _avi(read: Read, at: int, size: int) -> Extent | None:
    """Its reach, which is its first header where it does not tell a length that can be."""
    end = SYNTAXES[AVI].reach(read, at, size)
    return Extent(at + 12, end) if end > at + 12 else Extent(at + 12, size, known=False)


def _asf(read: Read, at: int, size: int) -> Extent | None:
    end = at
    for _ in range(_MOST_OBJECTS):
        head = read(end, _OBJECT_HEADER)
        if not head.startswith(_ASF_OBJECTS) or len(head) < _OBJECT_HEADER:
            break
        length = int.from_bytes(head[16:], "little")
        streamed = head.startswith(_ASF_OBJECTS[1]) and length <= _ASF_STREAMED
        if length < _OBJECT_HEADER or streamed or end + length > size:
            return Extent(end + _OBJECT_HEADER, size, known=False)
        end += length
    return Extent(at + _OBJECT_HEADER, end)


def _amr(read: Read, at: int, size: int) -> Extent:
    """What begins otherwise may go on as a frame: it is looked for everywhere."""
    wide = read(at + 5, 4) == b"-WB\n"
    begin = at + (9 if wide else 6)
    return Extent(begin, walk(Window(read, size), begin, amr_units(wide=wide)).end)


_READERS: Mapping[Container, Callable[[Read, int, int], Extent | None]] = {
    **{one: partial(_chunked, one) for one in (WAV, W64, AIFF, CAF, AU)},
    FLAC: _flac,
    MP4: _mp4,
    MATROSKA: _matroska,
    AVI: _avi,
    ASF: _asf,
    AMR: _amr,
}
