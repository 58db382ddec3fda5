"""Linear samples that go on behind the end that their header tells, as a recorder leaves them that was switched off before it could
say how much it had written, or that counts no further than to 4 GiB.

What follows is heard where it is sound of the same kind: where its bytes change as those before it, each at its own place in a
sample, or where both are sound, if a sample is but a byte; or where the header tells of nothing at all. Players stop where the
header says. ffmpeg can be told to read on in a WAV; in Wave64, AIFF, CAF and AU it has to find other lengths.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.audio.containers.chunks import Read, chunks, sound_chunk
from pipeline.audio.containers.table import AIFF, AU, CAF, W64, WAV, Found
from pipeline.audio.linear.byte_changes import CERTAIN, FEWEST, Scores, agree, are_alike, look
from pipeline.audio.linear.layout import LinearSamples, linear_samples
from pipeline.audio.linear.sign_changes import is_sound_on_both_sides

Change = tuple[int, bytes]  # at which byte of the file, and what should be there


@dataclass(frozen=True, slots=True)
class Longer:
    """At which second the header ends the sound, None where it tells of none, and what it should say."""

    told_end: float | None
    changes: tuple[Change, ...]


def told_too_short(read: Read, found: Found, end: int) -> float | None:
    """Of the WAV that is `found` in a file, and behind which nothing else is known up to `end`: at which second its header ends
    what goes on. None where it does not."""
    sound = linear_samples(read, found, end) if found.container is WAV else None
    return None if sound is None else _told_end(read, found, sound, end)


def tells_nothing(read: Read, found: Found, end: int) -> bool:
    """Whether it is a WAV of 64 bits whose writer never told how long its sound is: of others ffmpeg knows that itself."""
    if found.container is not WAV or read(found.start, 4) not in (b"RF64", b"BW64"):
        return False
    sound = sound_chunk(chunks(read, found.start, end, WAV), WAV)
    return sound is not None and sound.length is None


def longer(read: Read, found: Found, size: int, recording_ends: Callable[[], int]) -> Longer | None:
    """Of Wave64, AIFF, CAF or AU in a file of `size` bytes. `recording_ends` is asked where there are bytes behind the
    sound: how many of them may be of the same recording."""
    if found.container is AU and _is_beyond_ffmpeg(read, found):
        return Longer(None, ((found.start + _AU_LENGTH, b"\xff" * 4),))
    unsaid = found.container in (W64, AIFF)  # of the others a decoder reads on by itself where no length is told
    sound = linear_samples(read, found, size, unsaid=unsaid) if found.container in _LENGTHS else None
    end = recording_ends() if sound and sound.end < size else 0
    if sound is None or end <= sound.end:
        return None
    told = None if sound.end == sound.start else _told_end(read, found, sound, end)
    if told is None and sound.end > sound.start:
        return None
    try:
        return Longer(told, tuple(_LENGTHS[found.container](read, found, sound, end)))
    except struct.error:  # which cannot be so long
        return None


def _told_end(read: Read, found: Found, sound: LinearSamples, end: int) -> float | None:
    if sound.end >= end or not _goes_on(read, found, sound, end):
        return None
    walked = chunks(read, found.start, end, found.container).found
    behind = [chunk.start + chunk.length for chunk in walked if chunk.start > sound.end and chunk.length is not None]
    is_followed = any(stop <= end for stop in behind)  # by a chunk; four samples may look like a name
    return None if is_followed else (sound.end - sound.start) / sound.frame / sound.rate


def _goes_on(read: Read, found: Found, sound: LinearSamples, end: int) -> bool:
    whole = sound.start + (sound.end - sound.start) // sound.frame * sound.frame
    if sound.width == 1:
        return is_sound_on_both_sides(read, sound, whole, end)
    before, behind = look(read, sound, sound.start, whole).changes, look(read, sound, whole, end).changes
    if len(before) < FEWEST:
        return _changes_least(behind, _UPPER[found.container] % sound.width) if found.container in _UPPER else False
    usual, turns = before.mean(axis=0), range(1, sound.width)
    if not agree(before @ usual):
        return False
    scores = np.min([behind @ (usual - np.roll(usual, by)) for by in turns], axis=0)
    return agree(scores) and are_alike(before, behind, turns)


def _changes_least(changes: Scores, byte: int) -> bool:
    """Whether it is that one of a sample, in nearly every window."""
    return len(changes) >= FEWEST and float((changes.argmin(axis=1) == byte).mean()) >= CERTAIN


def _w64(read: Read, found: Found, _: LinearSamples, end: int) -> list[Change]:
    start = _content(read, found, end)
    return [
        (found.start + 16, struct.pack("<Q", end - found.start)),
        (start - 8, struct.pack("<Q", end - start + _W64_HEADER)),
    ]


def _aiff(read: Read, found: Found, sound: LinearSamples, end: int) -> list[Change]:
    start = _content(read, found, end)
    form = chunks(read, found.start, end, AIFF).first(b"COMM")
    assert form
    return [
        (found.start + 4, struct.pack(">I", end - found.start - 8)),
        (form.start + 2, struct.pack(">I", (end - sound.start) // sound.frame)),
        (start - 4, struct.pack(">I", end - start)),
    ]


def _caf(read: Read, found: Found, _: LinearSamples, end: int) -> list[Change]:
    start = _content(read, found, end)
    return [(start - 8, struct.pack(">Q", end - start))]


def _is_beyond_ffmpeg(read: Read, found: Found) -> bool:
    """Whether an AU tells of a length that it refuses, from 2 GiB on, or takes for true: the largest ones below that."""
    length = int.from_bytes(read(found.start + _AU_LENGTH, 4), "big")
    return _MOST_OF_AU <= length < _UNSAID


def _au(read: Read, found: Found, _: LinearSamples, end: int) -> list[Change]:
    return [(found.start + _AU_LENGTH, struct.pack(">I", end - _content(read, found, end)))]


def _content(read: Read, found: Found, end: int) -> int:
    sound = sound_chunk(chunks(read, found.start, end, found.container), found.container)
    assert sound
    return sound.start


_W64_HEADER = 24  # bytes of a chunk's, which its length counts
_AU_LENGTH, _MOST_OF_AU, _UNSAID = 8, 0x7F000000, 0xFFFFFFFF  # where it stands, in bytes, and what it may be
_UPPER = {WAV: -1, W64: -1, AU: 0}  # byte of a sample: it changes least. Of AIFF and CAF it may be either
_LENGTHS = {W64: _w64, AIFF: _aiff, CAF: _caf, AU: _au}
