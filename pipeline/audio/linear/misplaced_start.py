"""Where a file with linear samples says that the first of them begins, if that is in the middle of one: each would be read from
there to the middle of the next, which is noise. A damaged number is enough for that, or a byte that is missing in front of it.

A sample's upper byte changes less than any other from one to the next. AIFF and AU tell how many samples there are, besides.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.audio.containers.chunks import Read, chunks, sound_chunk
from pipeline.audio.containers.table import AIFF, AU, CAF, W64, WAV, Container, Found
from pipeline.audio.containers.wav_layout import LINEAR, sample_layout
from pipeline.audio.linear.byte_changes import CERTAIN, FEWEST, FRAMES, Look, byte_changes, look
from pipeline.audio.linear.layout import LinearSamples, linear_samples

_AU_START, _AU_KINDS = 4, (3, 4, 5)  # where AU says it; integers of two bytes and more
_AU_HEADER = 24  # bytes; a text may follow, which ends at a whole word
_AIFF_KINDS = (b"", b"NONE", b"twos", b"in24", b"in32")  # integers that begin with the upper byte
_AIFF_SIZE, _INSIDE = 18, 8  # bytes of a layout that names no kind; of the chunk that precede the sound
_CAF_FLOAT, _CAF_LITTLE = 1, 2  # flags of linear samples
_HALF = 64  # as far from zero are half of the bytes that may be anything,
_BY_CHANCE = 0.1  # and so much more or less of them
_LOOK, _GLANCE = 128 * 1024, 4 * 1024  # bytes of the sound


@dataclass(frozen=True, slots=True)
class Misplaced:
    """What the header should say from a byte on, or from where to where the bytes in front of the first sample are none of any."""

    changes: tuple[tuple[int, bytes], ...] = ()
    left_out: tuple[tuple[int, int], ...] = ()


def misplaced_start(read: Read, found: Found, size: int) -> Misplaced | None:
    """Of what begins at `found.start` in a file of `size` bytes. Raises what `read` does alone."""
    sound = linear_samples(read, found, size, unsaid=True) if found.container in _BEGIN else None
    try:
        return _BEGIN[found.container](read, found, size, sound) if sound else None
    except struct.error:
        return None


def _in_au(read: Read, found: Found, size: int, sound: LinearSamples) -> Misplaced | None:
    true = size - (sound.end - sound.start)
    if sound.end > sound.start and found.start + _AU_HEADER <= true < sound.start and true % 4 == found.start % 4:
        return Misplaced(changes=((found.start + _AU_START, (true - found.start).to_bytes(4, "big")),))
    kind = int.from_bytes(read(found.start + 12, 4), "big")
    late = _late(read, sound, size, sound.start) if kind in _AU_KINDS else 0
    start = (sound.start - found.start + late).to_bytes(4, "big")
    return Misplaced(changes=((found.start + _AU_START, start),)) if late else None


def _in_aiff(read: Read, found: Found, size: int, sound: LinearSamples) -> Misplaced | None:
    walked = chunks(read, found.start, size, AIFF)
    form, chunk = walked.first(b"COMM"), sound_chunk(walked, AIFF)
    if form is None or chunk is None:
        return None
    (count,), (offset,) = struct.unpack(">I", read(form.start + 2, 4)), struct.unpack(">I", read(chunk.start, 4))
    if offset and count * sound.frame == (chunk.length or 0) - _INSIDE:
        return Misplaced(changes=((chunk.start, bytes(4)),))
    kind = read(form.start + _AIFF_SIZE, 4) if (form.length or 0) > _AIFF_SIZE else b""
    late = _late(read, sound, size, sound.start + offset) if kind in _AIFF_KINDS else 0
    return Misplaced(changes=((chunk.start, (offset + late).to_bytes(4, "big")),)) if late else None


def _in_wav(read: Read, found: Found, size: int, sound: LinearSamples) -> Misplaced | None:
    form = chunks(read, found.start, size, found.container).first(b"fmt ")
    layout = sample_layout(read(form.start, form.length or 0)) if form else None
    late = _late(read, sound, size, sound.start, upper=-1) if layout and layout.kind == LINEAR else 0
    return Misplaced(left_out=((sound.start, sound.start + late),)) if late else None


def _in_caf(read: Read, found: Found, size: int, sound: LinearSamples) -> Misplaced | None:
    form = chunks(read, found.start, size, CAF).first(b"desc")
    kind, flags = struct.unpack(">8x4sI", read(form.start, 16)) if form else (b"", 0)
    upper = -1 if flags & _CAF_LITTLE else 0
    late = _late(read, sound, size, sound.start, upper=upper) if kind == b"lpcm" and not flags & _CAF_FLOAT else 0
    return Misplaced(left_out=((sound.start, sound.start + late),)) if late else None


def _late(read: Read, sound: LinearSamples, size: int, start: int, *, upper: int = 0) -> int:
    """How many bytes behind `start` a sample begins, of which that is the upper byte, where it is certain; else 0."""
    upper %= sound.width
    data = read(start, min(_LOOK, max(0, (sound.end if sound.end > start else size) - start)))
    silent = len(data) - len(data.lstrip(b"\0"))
    silent -= silent % sound.frame
    if sound.width == 1 or silent == len(data) or _is_least(data[silent : silent + _GLANCE], sound, upper):
        return 0
    seen = look(lambda at, length: data[at : at + length], sound, 0, len(data))
    if len(seen.changes) < FEWEST or (seen.changes == 0).all(axis=0).any() or not _is_lower(data, sound, seen, upper):
        return 0
    often = np.bincount(seen.changes.argmin(axis=1), minlength=sound.width)
    return (int(often.argmax()) - upper) % sound.width if often.max() >= CERTAIN * len(seen.changes) else 0


def _is_lower(data: bytes, sound: LinearSamples, seen: Look, upper: int) -> bool:
    """Whether what should be the upper byte may be anything, as a lower one is where something is heard. Samples of fewer bits than
    they could have look as if they were turned, but have a byte that never changes; or hardly ever, and one that changes as a sound
    does."""
    length = FRAMES * sound.frame
    windows = (np.frombuffer(data, np.int8, length, int(place)).astype(np.int16) for place in seen.places)
    far = np.concatenate([np.abs(window[upper :: sound.width]) >= _HALF for window in windows])
    return abs(float(far.mean()) - 0.5) <= _BY_CHANCE


def _is_least(data: bytes, sound: LinearSamples, upper: int) -> bool:
    """Whether that byte changes less than all others, as it should: then nothing more need be looked at."""
    changes = byte_changes(data, sound) if len(data) > sound.frame else np.zeros((1, sound.width))
    mean = changes.mean(axis=0)
    return bool((np.delete(mean, upper) > mean[upper]).all())


_BEGIN: dict[Container, Callable[[Read, Found, int, LinearSamples], Misplaced | None]] = {
    AU: _in_au,
    AIFF: _in_aiff,
    CAF: _in_caf,
    WAV: _in_wav,
    W64: _in_wav,
}
