"""What a Matroska file (RFC 9559) says of its tracks: their numbers, which are of sound, and whether that can be true."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ebml import (
    CHECKSUM,
    KIND,
    NUMBER,
    PADDING,
    TRACK,
    TRACKS,
    Element,
    elements,
    number,
    segment,
)

_SOUND = 2  # the kind of a track
_CODEC, _AUDIO = 0x86, 0xE1
_IN_AUDIO = {0xB5, 0x78B5, 0x9F, 0x7D7B, 0x6264, 0x52F1, CHECKSUM, PADDING}
_MOST_TRACKS = 1_000  # that are looked at
_LONGEST_NAME = 64  # bytes
_NAMED = b"A_"  # how codecs of sound are named
_CODECS = (  # those of sound that there are, without what tells their variants
    b"A_AAC", b"A_AC3", b"A_ALAC", b"A_ATRAC", b"A_DTS", b"A_EAC3", b"A_FLAC", b"A_MLP", b"A_MPC", b"A_MPEG/L1", b"A_MPEG/L2",
    b"A_MPEG/L3", b"A_MS/ACM", b"A_OPUS", b"A_PCM/FLOAT/IEEE", b"A_PCM/INT/BIG", b"A_PCM/INT/LIT", b"A_QUICKTIME", b"A_REAL",
    b"A_TRUEHD", b"A_TTA1", b"A_VORBIS", b"A_WAVPACK4",
)  # fmt: skip

Said = dict[int, Element]  # of a track, by name


def track_numbers(read: Read, tracks: Element) -> tuple[frozenset[int], frozenset[int]]:
    """All numbers by the element TRACKS, and those of tracks with sound."""
    every, sounds = set[int](), set[int]()
    for said in _tracks(read, tracks):
        if NUMBER in said:
            every.add(number(read, said[NUMBER]))
            if KIND in said and number(read, said[KIND]) == _SOUND:
                sounds.add(number(read, said[NUMBER]))
    return frozenset(every - {0}), frozenset(sounds - {0})


def are_damaged(read: Read, at: int, size: int) -> bool:
    """Whether what stands before the sound of the file from `at` to `size` cannot be what was written: elements that do not fill
    the one that they are in, a track without what every track has, a codec of sound that there is none of, or of another kind of
    track. Raises what `read` does."""
    outer = segment(read, at, size)
    if outer is None:
        return True
    tracks = next((one for one in elements(read, outer.start, outer.end or size) if one.name == TRACKS), None)
    if tracks is None or tracks.end is None or tracks.end > size:
        return True
    inside = list(elements(read, tracks.start, tracks.end, _MOST_TRACKS))
    if len(inside) == _MOST_TRACKS:
        return False
    is_whole = (
        bool(inside) and inside[-1].end == tracks.end and {one.name for one in inside} <= {TRACK, CHECKSUM, PADDING}
    )
    return not is_whole or any(_is_odd(read, one) for one in inside if one.name == TRACK)


def _tracks(read: Read, tracks: Element) -> Iterator[Said]:
    for track in elements(read, tracks.start, tracks.end or 0):
        if track.name == TRACK:
            yield {one.name: one for one in elements(read, track.start, track.end or 0)}


def _is_odd(read: Read, track: Element) -> bool:
    inside = list(elements(read, track.start, track.end or 0))
    said = {one.name: one for one in inside}
    if not inside or inside[-1].end != track.end or not said.keys() >= {NUMBER, KIND, _CODEC}:
        return True
    codec = read(said[_CODEC].start, min(said[_CODEC].length or 0, _LONGEST_NAME)).rstrip(b"\0")
    is_sound = number(read, said[KIND]) == _SOUND
    return is_sound != codec.startswith(_NAMED) or (is_sound and not (codec.startswith(_CODECS) and _tells(read, said)))


def _tells(read: Read, said: Said) -> bool:
    """Whether what a track says of its sound is all known."""
    audio = said.get(_AUDIO)
    inside = list(elements(read, audio.start, audio.end or 0)) if audio else []
    return (
        audio is not None and bool(inside) and inside[-1].end == audio.end and {one.name for one in inside} <= _IN_AUDIO
    )
