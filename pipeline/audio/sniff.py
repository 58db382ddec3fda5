"""What a file is, by its first bytes and never by its name: an allow-list, so that ffmpeg need not guess.

ffmpeg's own guessing is the hole that playlists climb through: a text called talk.mp3 that says `#EXTM3U` would be
read as HLS, and name other people's files. Here only a container's own magic, or a run of MPEG audio frames, counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.audio.mpeg_frames import adts_frames, mpeg_audio_frames
from pipeline.errors import EmptyMedia, UnsupportedMedia


@dataclass(frozen=True)
class Container:
    """A container we take: our name for it, and ffmpeg's demuxers that may read it, comma-separated."""

    name: str
    demuxers: str


WAV = Container("wav", "wav")
MP3 = Container("mp3", "mp3")
FLAC = Container("flac", "flac")
OGG = Container("ogg", "ogg")
MP4 = Container("mp4", "mov,mp4,m4a,3gp,3g2,mj2")
MATROSKA = Container("matroska", "matroska,webm")
AAC = Container("aac", "aac")
AMR = Container("amr", "amr")
AIFF = Container("aiff", "aiff")
MPEG = Container("mpeg", "mpeg")  # a program stream, what is called .mpeg

_STARTS = (
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b"\x1a\x45\xdf\xa3", MATROSKA),
    (b"#!AMR", AMR),
    (b"\x00\x00\x01\xba", MPEG),
)
_FORMS = {  # an outer name, four bytes of size, an inner name
    (b"RIFF", b"WAVE"): WAV,
    (b"RF64", b"WAVE"): WAV,
    (b"BW64", b"WAVE"): WAV,
    (b"FORM", b"AIFF"): AIFF,
    (b"FORM", b"AIFC"): AIFF,
}
_FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_TAGGED = (MP3, FLAC, AAC)  # what may follow an ID3 tag
_FOREIGN = (
    b"PK",
    b"\x1f\x8b",
    b"%PDF",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x7fELF",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
)
_TEXTS = (b"#ext", b"ffconcat", b"v=0", b"<", b"{", b"[playlist]", b"http:", b"https:", b"file:")
_BEFORE_TEXT = b"\xef\xbb\xbf \t\r\n"
_JUNK_BEFORE_FRAMES = 4096  # bytes; a stream that was recorded from its middle begins inside a frame
_CERTAIN = 3  # frames in a row
_MOST_TAGS = 8
_TAG_HEADER = 10  # bytes


def sniff(head: bytes) -> Container:
    """The container, from the first bytes of a file (4 KiB or more, or all there are).

    Raises EmptyMedia for no bytes, UnsupportedMedia for everything that is not on the list: text, playlists, archives.
    A tag with a picture may hide what follows from so short a look: then it says mp3, and `sniff_file` knows better.
    """
    tag = tag_length(head)
    return MP3 if tag and len(head) <= tag else sniff_file(lambda offset: head[offset:])


def sniff_file(read: Callable[[int], bytes]) -> Container:
    """As `sniff`, over a file of which `read(offset)` gives some KiB; it looks behind tags of any length."""
    offset = 0
    for _ in range(_MOST_TAGS):
        head = read(offset)
        if not head:
            raise EmptyMedia
        step = tag_length(head)
        if not step:
            break
        offset += step
    container = _recognised(head)
    if offset and container not in _TAGGED:
        raise UnsupportedMedia
    return container


def tag_length(head: bytes) -> int:
    """Bytes that an ID3v2 tag takes at the front, 0 without one. Its size is four bytes of seven bits."""
    if not re.match(rb"ID3...[\x00-\x7f]{4}", head, re.DOTALL):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = _TAG_HEADER if head[5] & 0x10 else 0
    return _TAG_HEADER + size + footer


def _recognised(head: bytes) -> Container:
    for magic, container in _STARTS:
        if head.startswith(magic):
            return container
    form = _FORMS.get((head[:4], head[8:12]))
    if form:
        return form
    if head[4:8] in _FIRST_BOXES:
        return MP4
    frames = _bare_frames(head)
    if frames:
        return frames
    raise UnsupportedMedia


def _bare_frames(head: bytes) -> Container | None:
    """Raw MPEG audio without any container; a file that begins as a playlist or as something else is not searched."""
    if head.startswith(_FOREIGN) or head[:_JUNK_BEFORE_FRAMES].lstrip(_BEFORE_TEXT).lower().startswith(_TEXTS):
        return None
    if adts_frames(head, 0, _CERTAIN):
        return AAC
    if mpeg_audio_frames(head, 0, _CERTAIN, short=True):
        return MP3
    starts = range(1, min(len(head), _JUNK_BEFORE_FRAMES))
    return MP3 if any(mpeg_audio_frames(head, start, _CERTAIN) for start in starts) else None
