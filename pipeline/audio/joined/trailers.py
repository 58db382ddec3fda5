"""What players and writers put behind the sound without adding any: tags, padding, chunks of notes.

ID3v1: id3.org; APEv2: wiki.hydrogenaud.io, APEv2 specification; Lyrics3: id3.org.
"""

from __future__ import annotations

import re

from pipeline.audio.containers.ebml import BEHIND_SOUND, CHECKSUM, CLUSTER, element
from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.table import AIFF, AVI, CAF, MATROSKA, W64, WAV, Container
from pipeline.audio.joined.window import Window

_PADDING = re.compile(rb"\x00+|\xff{16,}|\x20{16,}|\xaa{16,}|\x55{16,}")
_BLOCK = 64 * 1024
_OLD_TAG, _OLD_LONG_TAG = 128, 227  # bytes of ID3v1, and of the one that may precede it
_APE, _APE_HEADER, _APE_IS_HEADER = b"APETAGEX", 32, 1 << 29
_LONGEST_TAG = 1 << 24  # bytes of one that tells its length at its end
_LYRICS = re.compile(rb"LYRICS(?:200|END)")
_CHUNK_NAME = re.compile(rb"[\x20-\x7e]{4}")
SOUND_CHUNKS = (b"data", b"SSND")  # a second one is none of what may be passed over
_EBML_REST = (CLUSTER, CHECKSUM, *BEHIND_SOUND)  # sound is read on


def past_trailers(window: Window, at: int, container: Container) -> int:
    """The first byte behind one of them, `at` where there is none."""
    head = window.head(at, _APE_HEADER)
    if head.startswith(b"TAG"):
        return at + (_OLD_LONG_TAG if head.startswith(b"TAG+") else _OLD_TAG)
    if (tag := tag_length(head[:TAG_HEADER])) or (tag := _ape(window, at, head) or _lyrics(window, at, head)):
        return at + tag
    return _past_padding(window, at) if _PADDING.match(window.head(at, 16)) else at + _own(window, at, container)


def _past_padding(window: Window, at: int) -> int:
    """All of one byte."""
    while piece := window.head(at, _BLOCK):
        left = piece.lstrip(piece[:1])
        at += len(piece) - len(left)
        if left:
            break
    return at


def _ape(window: Window, at: int, head: bytes) -> int:
    """A tag with a header, or one that only its end tells of."""
    if head.startswith(_APE):
        return _APE_HEADER + int.from_bytes(head[12:16], "little") * bool(
            int.from_bytes(head[20:24], "little") & _APE_IS_HEADER
        )
    rest = window.read(at, _LONGEST_TAG) if window.size - at <= _LONGEST_TAG else b""
    footer = rest.find(_APE)
    length = int.from_bytes(rest[footer + 12 : footer + 16], "little") if footer > 0 else -1
    return length if length == footer + _APE_HEADER else 0


def _lyrics(window: Window, at: int, head: bytes) -> int:
    if not head.startswith(b"LYRICSBEGIN"):
        return 0
    end = _LYRICS.search(window.read(at, _LONGEST_TAG), 11)
    return end.end() if end else 0


def _own(window: Window, at: int, container: Container) -> int:
    """Bytes of a chunk or an element of the file's own kind."""
    if container is MATROSKA:
        one = element(window.read, at)
        end = one.end if one and one.name in _EBML_REST else None
        return end - at if end and end <= window.size else 0
    width, order = {WAV: (4, "little"), AVI: (4, "little"), AIFF: (4, "big"), CAF: (8, "big"), W64: (8, "little")}.get(
        container, (0, "little")
    )
    named = 16 if container is W64 else 4
    head = window.head(at, named + width)
    if not width or len(head) < named + width or not _CHUNK_NAME.match(head) or head.startswith(SOUND_CHUNKS):
        return 0
    length = int.from_bytes(head[named:], "big" if order == "big" else "little")
    whole = length if container is W64 else len(head) + length
    return whole if len(head) <= whole <= window.size - at else 0
