"""Why an MP4 seems to hold no sound that is taken, where the truth is that its index is damaged."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.contradictions import contradictions
from pipeline.audio.mp4_boxes import Box, boxes
from pipeline.audio.step_budget import StepBudget, TooManySteps
from pipeline.errors import DamagedMedia

_DAMAGED = "The file's index (moov) is damaged, and without it nobody knows what its sound means. Send another copy."
_HOLDERS: Mapping[bytes, frozenset[bytes]] = {  # what each box of an index holds at least
    b"moov": frozenset((b"mvhd", b"trak")),
    b"trak": frozenset((b"tkhd", b"mdia")),
    b"mdia": frozenset((b"mdhd", b"hdlr", b"minf")),
    b"minf": frozenset((b"stbl",)),
    b"stbl": frozenset((b"stsd",)),
    b"stsd": frozenset(),  # the codecs
}
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
