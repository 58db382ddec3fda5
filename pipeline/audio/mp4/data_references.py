"""Whether an MP4 holds the sound that it describes: a track may refer to another file for its samples (ISO/IEC 14496-12, 8.7.2), as
QuickTime's reference movies do, and whoever looks for them in this one plays something else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import is_sound
from pipeline.audio.mp4_boxes import Box, boxes, inside
from pipeline.audio.step_budget import TooManySteps

ELSEWHERE = (
    "The sound is not in this file: its index (moov) refers to another one for it, as a QuickTime reference movie does. Send that "
    "one, or save this one as self-contained."
)
_HERE = 1  # a flag: in the same file
_NUMBER = 14  # bytes of a description before the number of its reference
_MOST_BYTES = 4096  # of a reference that are looked at


def sound_elsewhere(read: Read, at: int, size: int) -> tuple[bool, ...]:
    """Of each track of sound in the MP4 from `at` to `size`, in order, whether all of its samples are in other files; none at all
    where no track's are. Raises what `read` does alone."""
    index = next((box for box in boxes(read, at, size) if box.name == b"moov"), None)
    tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak"] if index else []
    try:
        found = tuple(
            _is_elsewhere(read, inside(read, track, b"mdia", b"minf")) for track in tracks if is_sound(read, track)
        )
    except TooManySteps:
        raise
    except (ValueError, struct.error):  # that it makes no sense is for others to say
        return ()
    return found if any(found) else ()


def _is_elsewhere(read: Read, media: Box) -> bool:
    described, references = inside(read, media, b"stbl", b"stsd"), inside(read, media, b"dinf", b"dref")
    known = list(_elsewhere(read, references))
    numbers = [
        int.from_bytes(read(box.at + _NUMBER, 2), "big")
        for box in boxes(read, described.content + 8, described.end)
        if box.name != b"free"
    ]
    return bool(numbers) and all(0 < number <= len(known) and known[number - 1] for number in numbers)


def _elsewhere(read: Read, references: Box) -> Iterator[bool]:
    """Of each whether it names another file: one that names nothing was forgotten."""
    for box in boxes(read, references.content + 8, references.end):
        content = read(box.content, min(_MOST_BYTES, box.end - box.content))
        yield box.end <= references.end and any(content[4:]) and not content[3] & _HERE
