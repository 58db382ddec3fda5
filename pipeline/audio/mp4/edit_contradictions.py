"""Whether the edit list of a track in an MP4 can be true: where a bad copy has changed it, words are left out or moved, and players
do as it says. A list adds up to what the track's header says, and plays of the medium what is there.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mp4.edit_list import track_edits
from pipeline.audio.mp4_boxes import Box, boxes

_NAME = re.compile(rb"[\x20-\x7e]{4}|\xa9[\x20-\x7e]{3}")
_ENTRIES = {0: 12, 1: 20}  # bytes of each, by the version of the list
_DIFFERING = 0.5  # seconds that no rounding makes
_DELAY = 0.25  # seconds that a codec's own delay may have, which some writers leave out and count nevertheless
_ROUNDED = 0.1  # seconds
_TIMES_LONGER = 2  # a film may go on for some time without sound


@dataclass(frozen=True, slots=True)
class Lengths:
    """In seconds, 0 where it is not said: of the medium by its table of times and by its header, and what is played of it by that
    of the track. `movie`: what is played by that of all; `longest`: the most of any track by its own."""

    table: float
    header: float
    played: float
    movie: float
    longest: float


def contradicts_itself(read: Read, track: Box, scales: tuple[int, int], lengths: Lengths) -> bool:
    """Of a track, by the ticks a second of the movie and of its own. Raises ArithmeticError, struct.error and what `read` does."""
    within = list(boxes(read, track.content, track.end))
    if not all(_NAME.fullmatch(box.name) for box in within):  # one of them may have been the list
        return True
    holder = next((box for box in within if box.name == b"edts"), None)
    if holder is None:
        return False
    return not _is_whole(read, holder) or _is_wrong(read, track, scales, lengths)


def _is_whole(read: Read, holder: Box) -> bool:
    box = next((box for box in boxes(read, holder.content, holder.end) if box.name == b"elst"), None)
    if box is None or box.end > holder.end:
        return False
    version, count = struct.unpack(">B3xI", read(box.content, 8))
    return version in _ENTRIES and count > 0 and box.content + 8 + count * _ENTRIES[version] <= box.end


def _is_wrong(read: Read, track: Box, scales: tuple[int, int], lengths: Lengths) -> bool:
    edits = list(track_edits(read, track, *scales))
    if not edits or any(edit.media < 0 for edit in edits):
        return True
    if lengths.played > 0 and math.isfinite(edits[-1].end) and abs(edits[-1].end - lengths.played) > _DIFFERING:
        return any(abs(lengths.played - other) <= _DIFFERING for other in (lengths.header, lengths.movie))
    if (
        lengths.header - lengths.played > _DIFFERING
    ):  # perhaps nothing was meant to be left out, and the movie's ticks were others
        as_its_own = lengths.played * scales[0] / scales[1]
        if abs(lengths.movie - lengths.longest) > _DIFFERING or abs(as_its_own - lengths.header) <= _ROUNDED:
            return True
    return lengths.table > 0 and any(_is_beyond(edit.media, edit.end - edit.start, lengths.table) for edit in edits)


def _is_beyond(begin: float, lasts: float, table: float) -> bool:
    """Whether what is to be played is not in the medium."""
    if not math.isfinite(lasts):
        return begin > table
    is_late = begin > _DELAY and begin + lasts > table + _ROUNDED
    return is_late or lasts > _TIMES_LONGER * table + _DIFFERING
