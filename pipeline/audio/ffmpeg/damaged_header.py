"""Why a file of a kind that is taken seems to hold nothing that is, where the truth is that its header is damaged."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from operator import ne

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.table import CAF, FLV, MATROSKA, MP4, Container, Found
from pipeline.audio.joined.flv_tags import lacks_configuration
from pipeline.audio.matroska.tracks import are_damaged
from pipeline.audio.mp4.contradictions import is_sound
from pipeline.audio.mp4.damaged_index import damaged_index
from pipeline.audio.mp4.sample_descriptions import descriptions
from pipeline.audio.mp4_boxes import boxes, inside
from pipeline.audio.step_budget import StepBudget, TooManySteps
from pipeline.errors import DamagedMedia

_DAMAGED = "The file's header is damaged, and without it nobody knows what its sound means. Send another copy."
_CAF_CODEC = slice(28, 32)  # bytes
_PRINTABLE = re.compile(rb"[\x20-\x7e]{4}")
_OF_WAV = b"ms\0"  # which a number follows
_TAKEN = frozenset((
    b"mp4a", b"alac", b"Opus", b"opus", b"fLaC", b"flac", b"ac-3", b"ec-3", b"samr", b"sawb", b".mp3", b"sowt", b"twos", b"raw ",
    b"lpcm", b"in24", b"in32", b"fl32", b"fl64", b"ulaw", b"alaw", b"ipcm", b"fpcm", b"ima4", b"aac ", b"aach", b"aacp", b"paac",
    b"ilbc", b"QDM2", b"Qclp", b"MAC3", b"MAC6", b"dtsc", b"dtsh", b"dtsl", b"dtse", b"mlpa", b"agsm",
))  # fmt: skip
_OTHERS = frozenset(
    (b"mp4s", b"mp4v", b"ac-4", b"dtsx", b"drms", b"enca", b"QDMC", b"mha1", b"mhm1", b"apac")
)  # that there are


def damaged_header(read: Read, found: Found, end: int) -> DamagedMedia | None:
    """What is to be said of what was `found`, up to `end`; None where nothing proves that. Raises what `read` does."""
    if found.container is MP4 and (damaged := damaged_index(read, found.start, end)):
        return damaged  # a codec that is named rightly, in an index that is wrong
    test = _TESTS.get(found.container)
    try:
        is_damaged = test is not None and test(StepBudget.for_file().counted(read), found.start, end)
    except TooManySteps:
        return None
    return DamagedMedia(_DAMAGED) if is_damaged else None


def _is_misnamed(name: bytes) -> bool:
    """Whether it can be no codec's, or is one byte from one that is taken."""
    if name in _TAKEN or name in _OTHERS or name.startswith(_OF_WAV):
        return False
    return not _PRINTABLE.fullmatch(name) or any(sum(map(ne, name, one)) == 1 for one in _TAKEN)


def _caf(read: Read, at: int, _: int) -> bool:
    return _is_misnamed(read(at, _CAF_CODEC.stop)[_CAF_CODEC])


def _mp4(read: Read, at: int, end: int) -> bool:
    """Of one whose boxes are all in place."""
    index = next((box for box in boxes(read, at, end) if box.name == b"moov"), None)
    tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak"] if index else []
    try:
        tables = [inside(read, track, b"mdia", b"minf", b"stbl", b"stsd") for track in tracks if is_sound(read, track)]
        return any(_is_misnamed(one[4:8]) for table in tables for one in descriptions(read, table))
    except (ValueError, struct.error):
        return True


_TESTS: Mapping[Container, Callable[[Read, int, int], bool]] = {
    CAF: _caf,
    FLV: lacks_configuration,
    MP4: _mp4,
    MATROSKA: are_damaged,
}
