"""How a recording begins in each container of which several may stand one behind the other, and how far it reaches.

A mark of some bytes is looked for, and what follows it must be as it is in a file: sound may hold any four bytes.
MPEG streams and bare frames are not here, whatever follows there is read on as it is; except an mp3 that begins with a frame which
tells the encoder's delay (LAME's tag): only where that is read first, the delay is left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pipeline.audio.asf.header import MAGIC as ASF_MAGIC
from pipeline.audio.containers.chunks import Read, chunks, sound_chunk
from pipeline.audio.containers.ebml import segment
from pipeline.audio.containers.flac_headers import flac_header
from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.ogg_pages import first_pages
from pipeline.audio.containers.table import (
    AIFF,
    AMR,
    ASF,
    AU,
    AVI,
    CAF,
    FLAC,
    FLV,
    MATROSKA,
    MP3,
    MP4,
    OGG,
    VOC,
    W64,
    WAV,
    WAVPACK,
    Container,
)
from pipeline.audio.mp4_boxes import boxes
from pipeline.audio.mpeg_frames import mpeg_audio_frame

_RATES = range(1_000, 768_001)  # Hz
_MOST_CHANNELS = 64
_FORMATS: dict[Container, tuple[bytes, str]] = {  # the chunk that describes the sound; its rate and its channels
    WAV: (b"fmt ", "<2xHI"),
    W64: (b"fmt ", "<2xHI"),
    AIFF: (b"COMM", ">H"),  # its rate is a float of 80 bits
    CAF: (b"desc", ">24xI"),  # of 64
}
_AMR_FRAMES = ((12, 13, 15, 17, 19, 20, 26, 31, 5), (17, 23, 32, 36, 40, 46, 50, 58, 60, 5))  # bytes behind the first
_NO_DATA = 15
_WAVPACK_HEADER, _WAVPACK_FIRST, _WAVPACK_MOST = 32, 0x800, 1 << 20  # bytes, the flag of a first channel, samples
_OUTER_BOXES = (b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"sidx", b"moof", b"pdin", b"meta")
_LONGEST_TYPE = 1024  # bytes of a box that names brands
_MOST_PARTS = 1_000  # of an AVI
_MPEG1, _MONO = 3, 3
_XING = (b"Xing", b"Info")
_XING_AT = {
    (True, False): 36,
    (True, True): 21,
    (False, False): 21,
    (False, True): 13,
}  # bytes behind the header's first
_XING_MARK = re.compile(
    rb"\xff[\xe0-\xff][^\xf0-\xff].(?:.{9}|.{17}|.{32})(?:Xing|Info)\x00\x00\x00[\x00-\x0f]", re.DOTALL
)
_LONGEST_TAG, _MOST_TAGS = 1024 * 1024, 100  # bytes before a recording, and places in them that are tried
_ASF_HEADER = 30  # bytes before the first object in it


def _unchanged(_read: Read, at: int) -> int:
    return at


@dataclass(frozen=True, slots=True)
class LinkSyntax:
    """`mark` stands `lead` bytes behind the first of a recording; `begins(read, at, size)` says whether one is there.

    `reach(read, at, size)` gives the first byte that is certainly not a header of the recording at `at`, nor its sound where
    it says how long that is: from there on the next one is looked for.
    """

    mark: re.Pattern[bytes]
    begins: Callable[[Read, int, int], bool]
    reach: Callable[[Read, int, int], int]
    lead: int = 0
    end: Callable[[Read, int], int] = _unchanged  # of the one before, where another begins at the given byte


def _always(_read: Read, _at: int, _size: int) -> bool:
    return True


def _past(length: int, _read: Read, at: int, _size: int) -> int:
    return at + length


def _chunked(container: Container, read: Read, at: int, size: int) -> bool:
    """Whether there are a description that makes sense and a sound that it describes."""
    walked = chunks(read, at, size, container)
    name, layout = _FORMATS[container]
    described = walked.first(name)
    form = read(described.start, struct.calcsize(layout)) if described else b""
    if len(form) < struct.calcsize(layout) or not sound_chunk(walked, container):
        return False
    channels, *rate = struct.unpack(layout, form)
    return 1 <= channels <= _MOST_CHANNELS and all(one in _RATES for one in rate)


def _au(read: Read, at: int, _size: int) -> bool:
    offset, _, encoding, rate, channels = struct.unpack(">5I", read(at + 4, 20).ljust(20, b"\0"))
    return offset in range(24, 1 << 16) and encoding in range(1, 28) and rate in _RATES and channels in range(1, 65)


def _behind_sound(container: Container, read: Read, at: int, size: int) -> int:
    """Its end where it is known, else its beginning. What follows the sound is no recording, or is found to be one."""
    walked = chunks(read, at, size, container)
    sound = sound_chunk(walked, container)
    if sound is None:
        return walked.end
    whole = sound.length is not None and sound.start + sound.length <= size
    return min(size, sound.start + (sound.length or 0)) if whole else min(size, sound.start)


def _flac(read: Read, at: int, _size: int) -> bool:
    return flac_header(read, at) is not None


def _behind_flac_header(read: Read, at: int, _size: int) -> int:
    header = flac_header(read, at)
    return header.end if header else at + 4


def _ogg(read: Read, at: int, _size: int) -> bool:
    return first_pages(read, at) is not None


def _behind_first_pages(read: Read, at: int, _size: int) -> int:
    return first_pages(read, at) or at + 4


def _mp4(read: Read, at: int, size: int) -> bool:
    """A list of brands, and a box behind it that stands outermost."""
    row = boxes(read, at, size)
    brands, second = next(row, None), next(row, None)
    if brands is None or second is None:
        return False
    return brands.end - at in range(12, _LONGEST_TYPE) and second.name in _OUTER_BOXES


def _behind_boxes(read: Read, at: int, size: int) -> int:
    """All of the file where it is in pieces: ffmpeg reads on, and the clock of what follows goes on."""
    end = at
    for box in boxes(read, at, size):
        if box.name == b"moof":
            return size
        if (box.name == b"ftyp" and box.at > at) or box.end > size:
            return box.at if box.name == b"ftyp" else box.content
        end = box.end
    return end


def _matroska(read: Read, at: int, size: int) -> bool:
    return segment(read, at, size) is not None


def _behind_segment(read: Read, at: int, size: int) -> int:
    found = segment(read, at, size)
    if found is None:
        return at + 4
    return found.end if found.end is not None and found.end <= size else found.start


def _wavpack(read: Read, at: int, size: int) -> bool:
    """The first block of the first channels, and another one behind it or the end."""
    header = read(at, _WAVPACK_HEADER)
    if len(header) < _WAVPACK_HEADER:
        return False
    length, samples, flags = (struct.unpack_from("<I", header, place)[0] for place in (4, 20, 24))
    behind = at + 8 + length
    follows = behind >= size or read(behind, 4) == b"wvpk" or read(behind, 3) in (b"APE", b"TAG", b"ID3")
    return bool(flags & _WAVPACK_FIRST) and 0 < samples <= _WAVPACK_MOST and length >= _WAVPACK_HEADER - 8 and follows


def _behind_wavpack_block(read: Read, at: int, _size: int) -> int:
    return at + 8 + int.from_bytes(read(at + 4, 4), "little")


def _amr(read: Read, at: int, _size: int) -> bool:
    """Three frames in a row (RFC 4867, section 5)."""
    wide = read(at + 5, 4) == b"-WB\n"
    at += 9 if wide else 6
    for _ in range(3):
        head = read(at, 1)
        length = amr_frame(head[0], wide=wide) if head else 0
        if not length:
            return False
        at += length
    return True


def amr_frame(head: int, *, wide: bool) -> int:
    """Bytes of the frame with this first byte, 0 where it is none of a frame."""
    kind = head >> 3 & 15
    if head & 0x83 or (kind != _NO_DATA and kind >= len(_AMR_FRAMES[wide])):
        return 0
    return 1 + (0 if kind == _NO_DATA else _AMR_FRAMES[wide][kind])


def _asf(read: Read, at: int, _size: int) -> bool:
    length, objects, first, second = struct.unpack("<QIBB", read(at + 16, 14).ljust(14, b"\0"))
    return length in range(_ASF_HEADER, 1 << 26) and objects in range(1, 1 << 16) and (first, second) == (1, 2)


def _avi(read: Read, at: int, _size: int) -> bool:
    return read(at, 4) == b"RIFF" and read(at + 20, 8) == b"hdrlavih"


def _behind_avi(read: Read, at: int, size: int) -> int:
    """Long ones have several parts, each with a header of its own (OpenDML); a length that cannot be is none."""
    for _ in range(_MOST_PARTS):
        length = int.from_bytes(read(at + 4, 4), "little")
        end = at + 8 + length
        if not length or end > size:
            return at + 12
        if read(end, 4) != b"RIFF" or read(end + 8, 4) != b"AVIX":
            return end
        at = end
    return size


def _mp3(read: Read, at: int, size: int) -> bool:
    """A frame that holds a tag where its kind has it, and another frame behind it, or the end."""
    head = read(at, 64)
    frame = mpeg_audio_frame(head, 0)
    if frame is None or head[_XING_AT[head[1] >> 3 & 3 == _MPEG1, head[3] >> 6 == _MONO] :][:4] not in _XING:
        return False
    return at + frame[0] >= size or mpeg_audio_frame(read(at + frame[0], 4), 0) is not None


def _behind_frame(read: Read, at: int, _size: int) -> int:
    frame = mpeg_audio_frame(read(at, 4), 0)
    return at + (frame[0] if frame else 1)


def _before_tag(read: Read, at: int) -> int:
    """The tag that stands before a recording belongs to it."""
    start = max(0, at - _LONGEST_TAG)
    before = read(start, at - start)
    place = len(before)
    for _ in range(_MOST_TAGS):
        place = before.rfind(b"ID3", 0, place)
        if place < 0:
            return at
        if tag_length(before[place : place + TAG_HEADER]) == len(before) - place:
            return start + place
    return at


def _of_chunks(container: Container, mark: bytes, lead: int) -> LinkSyntax:
    return LinkSyntax(re.compile(mark), partial(_chunked, container), partial(_behind_sound, container), lead)


SYNTAXES: Mapping[Container, LinkSyntax] = {
    WAV: _of_chunks(WAV, rb"WAVE", 8),
    AIFF: _of_chunks(AIFF, rb"AIF[FC]", 8),
    CAF: _of_chunks(CAF, rb"caff\x00\x01\x00\x00desc", 0),
    W64: _of_chunks(W64, rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", 0),
    AU: LinkSyntax(re.compile(rb"\.snd\x00"), _au, partial(_behind_sound, AU)),
    FLAC: LinkSyntax(re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"), _flac, _behind_flac_header),
    OGG: LinkSyntax(re.compile(rb"OggS\x00[\x02\x06]"), _ogg, _behind_first_pages),
    MP4: LinkSyntax(re.compile(rb"ftyp"), _mp4, _behind_boxes, 4),
    MATROSKA: LinkSyntax(re.compile(rb"\x1a\x45\xdf\xa3"), _matroska, _behind_segment),
    WAVPACK: LinkSyntax(
        re.compile(rb"wvpk.{4}[\x02-\x10]\x04\x00.{5}\x00{4}", re.DOTALL), _wavpack, _behind_wavpack_block
    ),
    AMR: LinkSyntax(re.compile(rb"#!AMR(?:-WB)?\n"), _amr, partial(_past, 6)),
    ASF: LinkSyntax(re.compile(re.escape(ASF_MAGIC)), _asf, partial(_past, _ASF_HEADER)),
    AVI: LinkSyntax(re.compile(rb"AVI LIST"), _avi, _behind_avi, 8),
    FLV: LinkSyntax(re.compile(rb"FLV\x01[\x00\x01\x04\x05]\x00\x00\x00\x09\x00{4}"), _always, partial(_past, 13)),
    MP3: LinkSyntax(_XING_MARK, _mp3, _behind_frame, end=_before_tag),
    VOC: LinkSyntax(re.compile(rb"Creative Voice File\x1a\x1a\x00"), _always, partial(_past, 26)),
}
