"""Why an MP4 seems to hold no sound that is taken, where the truth is that its index is damaged."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import contradictions, is_sound
from pipeline.audio.mp4_boxes import Box, boxes, inside
from pipeline.audio.step_budget import StepBudget, TooManySteps
from pipeline.errors import DamagedMedia

_DAMAGED = "The file's index (moov) is damaged, and without it nobody knows what its sound means. Send another copy."
_UNHEARD = (
    "The file's index (moov) names sound, but none of it could be read: the file is damaged, there or in its sound. Send another "
    "copy."
)
_FEW = 25  # samples: half a second in most codecs, and what a writer may leave that was told to stop
_HOLDERS: Mapping[bytes, frozenset[bytes]] = {  # what each box of an index holds at least
    b"moov": frozenset((b"mvhd", b"trak")),
    b"trak": frozenset((b"tkhd", b"mdia")),
    b"mdia": frozenset((b"mdhd", b"hdlr", b"minf")),
    b"minf": frozenset((b"stbl",)),
    b"stbl": frozenset((b"stsd",)),
    b"stsd": frozenset(),  # the codecs
}
_COUNT = 8  # bytes before how many samples there are
_INSIDE = {b"stsd": 8}  # bytes before what it holds
_NAME = re.compile(rb"[\x20-\x7e]{4}|\xa9[\x20-\x7e]{3}")


def damaged_index(read: Read, at: int, size: int) -> DamagedMedia | None:
    """What is to be said of the MP4 from `at` to `size`; None where its index is whole, or takes too many steps to look at. Raises
    what `read` does."""
    counted = StepBudget.for_file().counted(read)
    try:
        is_damaged = _is_out_of_place(counted, at, size) or any(contradictions(counted, at, size, pictures=True))
    except TooManySteps:
        return None
    return DamagedMedia(_DAMAGED) if is_damaged else None


def unheard_sound(read: Read, at: int, size: int) -> DamagedMedia | None:
    """What is to be said of the MP4 from `at` to `size` of which nothing was heard; None where it names no sound. Raises what
    `read` does."""
    counted = StepBudget.for_file().counted(read)
    try:
        return DamagedMedia(_UNHEARD) if _names_sound(counted, at, size) else None
    except TooManySteps:
        return None
    except (ValueError, struct.error):
        return DamagedMedia(_DAMAGED)


def _names_sound(read: Read, at: int, size: int) -> bool:
    """Raises ValueError where its index makes no sense, and what `read` does."""
    outer = list(boxes(read, at, size))
    if any(box.name == b"moof" for box in outer):
        return True
    index = next((box for box in outer if box.name == b"moov"), None)
    tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak"] if index else []
    holders = [inside(read, track, b"mdia", b"minf", b"stbl") for track in tracks if is_sound(read, track)]
    sizes = [inside(read, holder, b"stsz") for holder in holders]
    return any(int.from_bytes(read(box.content + _COUNT, 4), "big") > _FEW for box in sizes)


def _is_out_of_place(read: Read, at: int, size: int) -> bool:
    """Whether boxes of the index are not where they should be, or bear no name: what it tells of tracks means nothing."""
    index = next((box for box in boxes(read, at, size) if box.name == b"moov"), None)
    return index is None or not _is_whole(read, index)


def _is_whole(read: Read, holder: Box) -> bool:
    inside = list(boxes(read, holder.content + _INSIDE.get(holder.name, 0), holder.end))
    return (
        bool(inside)
        and inside[-1].end == holder.end
        and {box.name for box in inside} >= _HOLDERS[holder.name]
        and all(_NAME.fullmatch(box.name) for box in inside)
        and all(_is_whole(read, box) for box in inside if box.name in _HOLDERS)
    )
