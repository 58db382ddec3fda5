"""Files of chunks, each with its name and its length: WAV, AIFF, Wave64, CAF; and AU, which has one.

RIFF and RF64: EBU Tech 3306; AIFF: Apple, AIFF-C draft of 1991; Wave64: Sonic Foundry's description; CAF: Apple, Core Audio
Format 1.0; AU: the manual page of Solaris, audio.h.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.audio.containers.table import AIFF, AU, CAF, W64, WAV, Container

Read = Callable[[int, int], bytes]  # (offset, length) → so many bytes of the file, fewer only at its end

_MOST_CHUNKS = 200
_LETTERS = 4  # of a name
_RIFFS = (b"RIFF", b"RF64", b"BW64")
_NAME = re.compile(rb"[\x20-\x7e]{4}")
_W64_NAME = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # behind the four letters of each chunk's name
_AU_HEADER = 24
_UNSAID_RIFF = 0xFFFFFFFF
_TOO_MUCH = 1 << 62  # of 64 bits: nobody's length
_KNOWN = frozenset((  # that may stand in front of the sound
    b"fmt ", b"data", b"fact", b"LIST", b"JUNK", b"junk", b"bext", b"iXML", b"cue ", b"smpl", b"PEAK", b"id3 ", b"ID3 ",
    b"COMM", b"SSND", b"FVER", b"MARK", b"COMT", b"INST", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"APPL", b"CHAN",
))  # fmt: skip
# What a writer that cannot go back leaves as a length: all ones, the largest that is positive, or some KiB less than either,
# since it subtracts its header or rounds to its buffer (ffmpeg, SoX: 0x7FFFF000, GStreamer: 0x7FFF0000; SoX in AIFF: 0x7F000000).
_STREAMED = (range(0x7F000000, 0x7F000010), range(0x7FFF0000, 0x80000010), range(0xFFFF0000, 0x100000000))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where its content begins, and how long it says it is; None where a writer did not know it."""

    name: bytes
    start: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of one file in order, and where they end: at the first byte that none of them holds.

    The last of them may reach beyond the end of the file, or say nothing of its length: then `end` is where it begins.
    """

    found: tuple[Chunk, ...]
    end: int

    def first(self, name: bytes) -> Chunk | None:
        """The first of this name."""
        return next((chunk for chunk in self.found if chunk.name == name), None)


@dataclass(frozen=True, slots=True)
class _Form:
    """How the header of each chunk is written, where the first begins, and what sound is called."""

    header: struct.Struct
    first: int
    even: int
    sound: bytes


_FORMS = {
    WAV: _Form(struct.Struct("<4sI"), 12, 2, b"data"),
    AIFF: _Form(struct.Struct(">4sI"), 12, 2, b"SSND"),
    CAF: _Form(struct.Struct(">4sQ"), 8, 1, b"data"),
    W64: _Form(struct.Struct("<16sQ"), 40, 8, b"data"),
}


def chunks(read: Read, at: int, size: int, container: Container) -> Chunks:
    """Of the file that begins at `at`, in a file of `size` bytes, behind which another may stand. Never raises."""
    if container is AU:
        return _au(read, at, size)
    form, long, found = _FORMS[container], 0, list[Chunk]()
    place = at + form.first
    while len(found) < _MOST_CHUNKS and place < size:
        chunk = _chunk(read, place, form, long)
        if chunk is None:
            break
        found.append(chunk)
        if chunk.name == b"ds64":
            (long,) = struct.unpack("<8xQ", read(chunk.start, 16).ljust(16, b"\0"))
        if chunk.length is None or chunk.start + chunk.length > size:
            return Chunks(tuple(found), min(chunk.start, size))
        place = chunk.start + chunk.length + -(chunk.length + chunk.start - at) % form.even
    return Chunks(tuple(found), min(place, size))


def unpadded(read: Read, at: int, size: int, container: Container) -> list[int]:
    """Before which bytes, up to the sound, the one is missing that makes a chunk even, as writers forget it behind an odd title:
    where a known chunk begins, and none behind that byte."""
    form, place, missing = _FORMS[container], at + _FORMS[container].first, list[int]()
    for _ in range(_MOST_CHUNKS):
        chunk = _chunk(read, place, form, 0)
        if chunk is None or chunk.length is None or chunk.name == form.sound:
            break
        place = chunk.start + chunk.length
        if place >= size or not (place + len(missing) - at) % form.even:
            continue
        if read(place, _LETTERS) in _KNOWN and read(place + 1, _LETTERS) not in _KNOWN:
            missing.append(place)
        else:
            place += 1
    return missing


def sound_chunk(walked: Chunks, container: Container) -> Chunk | None:
    """The one that holds the sound."""
    return walked.first(_FORMS[container].sound if container in _FORMS else b"data")


def _chunk(read: Read, place: int, form: _Form, long: int) -> Chunk | None:
    """None where no chunk of this file begins."""
    header = read(place, form.header.size)
    if len(header) < form.header.size:
        return None
    name, length = form.header.unpack(header)
    start = place + form.header.size
    if rest := name[_LETTERS:]:  # of Wave64, whose lengths count the header too
        name, length = name[:_LETTERS], length - form.header.size
        if rest != _W64_NAME or length < 0:
            return None
    if not _NAME.fullmatch(name) or name in (*_RIFFS, b"FORM"):
        return None
    if name == form.sound:
        return Chunk(name, start, _said(length, long))
    return Chunk(name, start, length)


def _said(length: int, long: int) -> int | None:
    """`long` is what a header of 64 bits says in a file whose own are of 32."""
    if length == _UNSAID_RIFF and long:
        length = long
    unsaid = not length or length >= _TOO_MUCH or any(length in some for some in _STREAMED)
    return None if unsaid else length


def _au(read: Read, at: int, size: int) -> Chunks:
    header = read(at, _AU_HEADER)
    if len(header) < _AU_HEADER:
        return Chunks((), min(at + len(header), size))
    offset, length = struct.unpack(">4x2I12x", header)
    start, said = at + offset, _said(length, 0)
    whole = said is not None and start + said <= size
    return Chunks((Chunk(b"data", start, said),), min(size, start + said if said and whole else start))
