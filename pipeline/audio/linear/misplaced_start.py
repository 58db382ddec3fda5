"""Where AU and AIFF say that their first sample begins, if that is in the middle of one: each would be read from there to the
middle of the next, which is noise. A damaged number is enough for that, or a byte that is missing in front of it.

Samples of AU and of AIFF (but one kind) begin with their upper byte, which changes less than any other from one to the next. AIFF
tells how many there are, besides.
"""

from __future__ import annotations

import struct

import numpy as np

from pipeline.audio.containers.chunks import Read, chunks, sound_chunk
from pipeline.audio.containers.table import AIFF, AU, Found
from pipeline.audio.linear.byte_changes import CERTAIN, FEWEST, look
from pipeline.audio.linear.layout import LinearSamples, linear_samples

Change = tuple[int, bytes]  # from this byte of the file on, what should stand there

_AU_START, _AU_KINDS = 4, (3, 4, 5)  # where AU says it; integers of two bytes and more
_AIFF_KINDS = (b"", b"NONE", b"twos", b"in24", b"in32")  # integers that begin with the upper byte
_AIFF_SIZE, _INSIDE = 18, 8  # bytes of a layout that names no kind; of the chunk that precede the sound
_LOOK = 128 * 1024  # bytes of the sound


def misplaced_start(read: Read, found: Found, size: int) -> Change | None:
    """What the header of what begins at `found.start`, in a file of `size` bytes, should say instead. Raises what `read` does."""
    sound = linear_samples(read, found, size, unsaid=True) if found.container in (AU, AIFF) else None
    if sound is None:
        return None
    try:
        return _in_au(read, found.start, sound) if found.container is AU else _in_aiff(read, found, size, sound)
    except struct.error:
        return None


def _in_au(read: Read, at: int, sound: LinearSamples) -> Change | None:
    kind = int.from_bytes(read(at + 12, 4), "big")
    late = _late(read, sound, sound.start) if kind in _AU_KINDS else 0
    return (at + _AU_START, (sound.start - at + late).to_bytes(4, "big")) if late else None


def _in_aiff(read: Read, found: Found, size: int, sound: LinearSamples) -> Change | None:
    walked = chunks(read, found.start, size, AIFF)
    form, chunk = walked.first(b"COMM"), sound_chunk(walked, AIFF)
    if form is None or chunk is None:
        return None
    (count,), (offset,) = struct.unpack(">I", read(form.start + 2, 4)), struct.unpack(">I", read(chunk.start, 4))
    if offset and count * sound.frame == (chunk.length or 0) - _INSIDE:
        return chunk.start, bytes(4)
    kind = read(form.start + _AIFF_SIZE, 4) if (form.length or 0) > _AIFF_SIZE else b""
    late = _late(read, sound, sound.start + offset) if kind in _AIFF_KINDS else 0
    return (chunk.start, (offset + late).to_bytes(4, "big")) if late else None


def _late(read: Read, sound: LinearSamples, start: int) -> int:
    """How many bytes behind `start` a sample begins, where it is certain; else 0."""
    data = read(start, min(_LOOK, max(0, sound.end - start)))
    changes = look(lambda at, length: data[at : at + length], sound, 0, len(data)).changes
    if len(changes) < FEWEST or sound.width == 1 or (changes == 0).all(axis=0).any():
        return 0  # samples of fewer bits than they could have look as if they were turned, but have a byte that never changes
    upper = changes.argmin(axis=1)
    often = np.bincount(upper, minlength=sound.width)
    return int(often.argmax()) if often.max() >= CERTAIN * len(upper) else 0
