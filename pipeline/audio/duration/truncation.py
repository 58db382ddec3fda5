"""Whether a file ends before its own claim: what its headers say of its length, against the bytes that are there.

A recorder that streams knows no length, and writes none or one that cannot be: that is no claim. Nor is anything that only *may*
mean a loss: an Ogg stream without a last page that says so is how every live stream ends; only a page that is cut itself counts, or
damaged, or bytes in the place of the last pages. Of a live stream, and of a VOC without the block that ends it, it is told that the
end mark is missing, and no more. A few missing bytes are a writer's error in counting. MPEG streams, bare frames and AMR claim
nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pipeline.audio.containers import ogg_pages, voc_blocks
from pipeline.audio.containers.chunks import Chunks, Read, chunks, sound_chunk
from pipeline.audio.containers.ebml import BEHIND_SOUND, CLUSTER, INFO, elements, segment, times
from pipeline.audio.containers.flac_headers import (
    FRAME_MARKS,
    LONGEST_FRAME_HEADER,
    FlacHeader,
    flac_frame,
    flac_header,
)
from pipeline.audio.containers.table import (
    AIFF,
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
    Found,
)
from pipeline.audio.duration.stated import STATED
from pipeline.audio.mp4_boxes import boxes
from pipeline.audio.mpeg_frames import mpeg_audio_frame

_SLACK = 128  # bytes that writers miscount by: a header, a tag at the end
_UNSAID = 0xFFFF0000  # of 32 bits, and above: no length
_HEAD, _TAIL = 64 * 1024, 128 * 1024  # bytes that are looked at from either end
_LONGEST_TORN = 8 * 1024 * 1024  # bytes at the end of an Ogg that may be none of its pages
_PAGE_BYTES = 1024  # that are none of a page, behind one that is not the last, stand where pages were
_MOST_STEPS = 10_000  # clusters, blocks
_FRAME_MARK = re.compile(b"|".join(map(re.escape, FRAME_MARKS)))  # of FLAC
_BROADCAST = 1  # a flag of Windows Media: what the header says was written before the end was known
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_XING_FRAMES, _XING_BYTES = 1, 2  # flags
_UNKNOWN_SAMPLES = 0xFFFFFFFF
_VOC_HEAD, _VOC_ZEROS = 22, 256  # bytes of a file's, and so many of zero are no end
_WAVPACK_HEADER = 32  # bytes
_WAVPACK_TAIL = 1024 * 1024  # the longest block
_LINEAR = (1, 3, 0xFFFE)  # formats of WAV that are not packed
_IMA_SAMPLES = 64  # of a packet, which AIFF counts as one frame


@dataclass(frozen=True, slots=True)
class Claim:
    """How long a file says it is, None where it does not say so in time; `cut` where bytes of its sound are certainly missing.

    Without that the sound has to be decoded to know. `unended`: it says nothing but that its end mark is missing.
    """

    ms: int | None
    cut: bool
    unended: bool = False


STREAMED = Claim(None, cut=False)  # its writer told no length, or guessed one
_UNENDED = Claim(None, cut=False, unended=True)


def cut_off(read: Read, size: int, found: Found) -> Claim | None:
    """What the recording claims that begins at `found.start` and ends at `size`, unless it is all there or claims nothing.

    Only of FLAC, of mp3 whose tag counts frames alone, and of streamed AVI and CAF a claim may come back that turns out to be kept.
    Never raises.
    """
    reader = _READERS.get(found.container)
    try:
        return reader(read, found.start, size) if reader else None
    except (ArithmeticError, IndexError, ValueError, struct.error):
        return None


def _cut(seconds: float | None) -> Claim:
    return Claim(round(seconds * 1000) if seconds and seconds > 0 else None, cut=True)


def _chunked(container: Container, read: Read, at: int, size: int) -> Claim | None:
    walked = chunks(read, at, size, container)
    sound = sound_chunk(walked, container)
    if container is CAF and sound and sound.length is None:
        return STREAMED  # its demuxer takes the last packet for a broken one
    if sound is None or sound.length is None or sound.start + sound.length <= size + _SLACK:
        return None
    return _cut(_seconds(container, read, at, walked, sound.start + sound.length))


def _seconds(container: Container, read: Read, at: int, walked: Chunks, end: int) -> float | None:
    """Of what the headers of a file that would end there describe."""
    if container is AIFF:
        return _aiff_seconds(read, walked)
    if container in (WAV, W64):
        return _wav_seconds(read, walked, end)
    return _stated(container.name, read, at, end)


def _aiff_seconds(read: Read, walked: Chunks) -> float | None:
    form = walked.first(b"COMM")
    if form is None:
        return None
    frames, exponent, mantissa, packed = struct.unpack(">2xI2xHQ4s", read(form.start, 22).ljust(22, b"\0"))
    rate = mantissa * 2.0 ** (exponent - 16446)
    return frames * (_IMA_SAMPLES if packed == b"ima4" else 1) / rate if rate else None


def _wav_seconds(read: Read, walked: Chunks, end: int) -> float | None:
    """By the samples that are told of what is packed, else by bytes at the rate that is told."""
    form, sound, counted = walked.first(b"fmt "), walked.first(b"data"), walked.first(b"fact")
    if form is None or sound is None:
        return None
    kind, rate, bytes_a_second = struct.unpack("<H2xII", read(form.start, 12).ljust(12, b"\0"))
    samples = int.from_bytes(read(counted.start, 4), "little") if counted and kind not in _LINEAR else 0
    if 0 < samples < _UNSAID and rate:
        return float(samples / rate)
    return (end - sound.start) / bytes_a_second if bytes_a_second else None


def _stated(name: str, read: Read, at: int, end: int) -> float | None:
    return STATED[name](read(at, _HEAD), b"", end - at)


def _flac(read: Read, at: int, size: int) -> Claim | None:
    """Its header counts samples, and so does that of the last frame; how long that frame is, only a decoder knows."""
    header = flac_header(read, at)
    if header is None or not header.samples:
        return None
    start = max(header.end, size - _TAIL)
    last = _last_frame_end(read(start, size - start), header)
    return Claim(header.samples * 1000 // header.rate, cut=last is not None and last < header.samples)


def _last_frame_end(tail: bytes, header: FlacHeader) -> int | None:
    """In samples; None where no frame begins in the tail."""
    places = [found.start() for found in _FRAME_MARK.finditer(tail)]
    for place in places[: -_MOST_STEPS - 1 : -1]:
        if frame := flac_frame(tail[place : place + LONGEST_FRAME_HEADER]):
            return frame.number * (1 if frame.in_samples else header.blocks[1]) + frame.samples
    return None


def _ogg(read: Read, at: int, size: int) -> Claim | None:
    start = max(at, size - _TAIL)
    tail = read(start, size - start)
    if ogg_pages.MARK not in tail:
        start = max(at, size - _LONGEST_TORN)
        tail = read(start, size - start)
    last = tail.rfind(ogg_pages.MARK)
    found = ogg_pages.page(lambda offset, length: tail[offset : offset + length], last) if last >= 0 else None
    begun = found is None and last >= 0 and len(tail) - last < ogg_pages.LONGEST_HEADER
    if begun or (found and not ogg_pages.sums_up(tail[last : found.end])):  # what is cut does not, either
        return Claim(None, cut=True)
    if found is None or found.flags & ogg_pages.LAST:
        return None
    return Claim(None, cut=True) if len(tail) - found.end >= _PAGE_BYTES else _UNENDED


def _mp3(read: Read, at: int, size: int) -> Claim | None:
    """By the tag in the first frame: Xing's, or Fraunhofer's VBRI."""
    head = read(at, 4096)
    first = mpeg_audio_frame(head, 0)
    told = (
        re.search(rb"(?:Xing|Info)\x00\x00\x00(.)(.{8})|VBRI.{6}(.{8})", head[: first[0]], re.DOTALL) if first else None
    )
    if not first or not told:
        return None
    length, seconds = first
    flags = told[1][0] if told[1] else _XING_FRAMES | _XING_BYTES
    one, other = struct.unpack(">2I", told[2] or told[3])
    frames, counted = (one, other) if told[2] else (other, one)
    if not flags & _XING_FRAMES:
        frames, counted = 0, one
    ms = round(frames * seconds * 1000) or None
    if not flags & _XING_BYTES:
        return Claim(ms, cut=False) if ms else None
    return Claim(ms, cut=True) if at + counted > size + 2 * length else None


def _mp4(read: Read, at: int, size: int) -> Claim | None:
    seconds = None
    for box in boxes(read, at, size):
        if box.name == b"moov":
            seconds = _movie_seconds(read(box.content, 48))
        if box.end > size + _SLACK:
            return _cut(seconds) if box.name in (b"mdat", b"moof", b"moov") else None
    return None


def _movie_seconds(head: bytes) -> float | None:
    """By the movie's header, where it is the first box of the index."""
    if head[4:8] != b"mvhd":
        return None
    scale, length = struct.unpack_from(">IQ" if head[8] else ">II", head, 28 if head[8] else 20)
    return float(length / scale)


def _matroska(read: Read, at: int, size: int) -> Claim | None:
    outer = segment(read, at, size)
    if outer is None or (outer.end is not None and outer.end <= size + _SLACK):
        return None
    seconds, last = None, outer
    for last in elements(read, outer.start, size, _MOST_STEPS):
        if last.name == INFO:
            seconds = times(read, last).seconds
    reaches = last.end is not None and last.end > size + _SLACK
    if outer.end is None:
        return _cut(seconds) if reaches and last.name == CLUSTER else None
    return None if reaches and last.name in BEHIND_SOUND else _cut(seconds)


def _asf(read: Read, at: int, size: int) -> Claim | None:
    head = read(at, _HEAD)
    place = head.index(_FILE_PROPERTIES)
    length, flags = struct.unpack_from("<Q40xI", head, place + 40)
    return None if flags & _BROADCAST or at + length <= size + _SLACK else _cut(_stated("asf", read, at, size))


def _avi(read: Read, at: int, size: int) -> Claim | None:
    """Long ones have several parts. Of one that was streamed the length is its writer's guess, which is kept, whatever it is."""
    for place in _parts(read, at, size):
        length = int.from_bytes(read(place + 4, 4), "little")
        if not length or length >= _UNSAID:
            return STREAMED
        if place + 8 + length > size + _SLACK:
            return _cut(_stated("avi", read, at, size))
    return None


def _parts(read: Read, at: int, size: int) -> Iterator[int]:
    for _ in range(_MOST_STEPS):
        if at >= size or read(at, 4) != b"RIFF":
            return
        yield at
        at += 8 + int.from_bytes(read(at + 4, 4), "little")


def _flv(read: Read, at: int, size: int) -> Claim | None:
    head = read(at, _HEAD)
    told = re.search(rb"\x00\x08filesize\x00(.{8})", head, re.DOTALL)
    length = struct.unpack(">d", told[1])[0] if told else 0.0
    return _cut(_stated("flv", read, at, size)) if at + length > size + _SLACK else None


def _wavpack(read: Read, at: int, size: int) -> Claim | None:
    """The first block counts all samples; the last that is there says where it ends."""
    total = struct.unpack("<12xI", read(at, 16))[0]
    start = max(at, size - _WAVPACK_TAIL)
    tail = read(start, size - start)
    last = tail.rindex(b"wvpk")
    length, before, samples = struct.unpack_from("<4xI8xII", tail.ljust(last + _WAVPACK_HEADER, b"\0"), last)
    whole = last + 8 + length <= len(tail)
    there = before + (samples if whole else 0)
    return None if total == _UNKNOWN_SAMPLES or there >= total else _cut(_stated("wavpack", read, at, size))


def _voc(read: Read, at: int, size: int) -> Claim | None:
    """A block of no kind ends it. In the midst of zeros that may be none, but what a disk gives for bytes that it has lost; not
    where the last block is shorter than others, or the only one of sound, as its writer leaves it."""
    at += voc_blocks.first_block(read(at, _VOC_HEAD))
    longest = last = sounds = 0
    for _ in range(_MOST_STEPS):
        if at == size:
            return _UNENDED
        header = read(at, voc_blocks.HEADER)
        length = voc_blocks.block_length(header)
        if not length:
            if header[:1] not in (b"", voc_blocks.END):
                return _cut(None)
            return None if sounds == 1 or last < longest else _voc_among_zeros(read, at, size)
        at += length
        sounds += voc_blocks.sound_bytes(header) > 0
        if header[0] == voc_blocks.MORE:
            longest, last = max(longest, length), length
        if at > size + _SLACK:
            return _cut(None)
    return None


def _voc_among_zeros(read: Read, at: int, size: int) -> Claim | None:
    """What a block of no kind claims: something, where more than padding stands behind it."""
    around = read(max(0, at - _VOC_ZEROS), 2 * _VOC_ZEROS)
    if len(around) < 2 * _VOC_ZEROS or any(around):
        return None
    last = max(at, size - _TAIL)
    return _cut(None) if any(read(last, size - last)) else _UNENDED


_READERS: Mapping[Container, Callable[[Read, int, int], Claim | None]] = {
    **{one: partial(_chunked, one) for one in (WAV, W64, AIFF, CAF, AU)},
    FLAC: _flac,
    OGG: _ogg,
    MP3: _mp3,
    MP4: _mp4,
    MATROSKA: _matroska,
    ASF: _asf,
    AVI: _avi,
    FLV: _flv,
    WAVPACK: _wavpack,
    VOC: _voc,
}
