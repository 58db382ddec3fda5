"""Bare frames behind a recording that does not tell its end, as of a WAV that was streamed: they have no mark to be found by, and
would be heard as noise, for its sound may be any bytes.

So it is asked whether the file *ends* with frames that follow each other, which chance does not do; and then, half by half, how far
back they begin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pipeline.audio.containers.table import (
    AAC,
    AC3,
    AIFF,
    ASF,
    AU,
    AVI,
    CAF,
    DTS,
    FLAC,
    MATROSKA,
    MP3,
    MPEGTS,
    W64,
    WAV,
    Container,
    Found,
)
from pipeline.audio.joined.trailers import past_trailers
from pipeline.audio.joined.units import UNITS
from pipeline.audio.joined.window import Window

# In which frames do not follow each other, unless they are all there is.
STREAMED = (WAV, W64, AIFF, CAF, AU, FLAC, MATROSKA, ASF, AVI)
_KINDS = (MP3, AAC, AC3, DTS, MPEGTS)
_CERTAIN = 8  # in a row
_TAIL = 64 * 1024  # bytes at the end that hold so many frames of any kind
_LOOK = 16 * 1024  # bytes that hold at least one
_OWN = 4 * 1024  # bytes; what begins so near behind the header is the recording's own sound
_MOST_TRIES = 3_000  # places that look like a frame
_MOST_TAGS = 3
_CHUNK = re.compile(rb"\d\dwb")  # what precedes some frames of an AVI
_PACKET = 188  # bytes


def bare_frames(window: Window, at: int, end: int) -> Found | None:
    """What ends at `end`, and where behind `at` it begins; None where no frames stand there, or nothing else does."""
    start = max(at, end - _TAIL)
    tail = window.read(start, end - start)
    for container in _KINDS:
        places = [*_places(container, tail, start)][: -_MOST_TRIES - 1 : -1]  # the nearest to the end first
        if (last := next((place for place in places if _reaches(window, container, place, end)), None)) is not None:
            begin = _begin(window, container, at, last)
            begin = None if begin is None else _behind_chunk(window, begin)
            return None if begin is None or begin >= end else Found(container, begin)
    return None


def _behind_chunk(window: Window, at: int) -> int:
    """Behind the frames of an AVI that others follow at once."""
    head = window.read(at - 8, 8)
    return at + int.from_bytes(head[4:], "little") if _CHUNK.match(head) else at


def _places(container: Container, data: bytes, start: int) -> Iterator[int]:
    """Where a frame may begin."""
    mark = UNITS[container].mark
    assert mark, "all of these kinds have one"
    return (start + match.start() for match in mark.finditer(data))


def _reaches(window: Window, container: Container, at: int, end: int) -> bool:
    """Whether one frame follows the other up to the end, tags apart; the last may be cut."""
    count = 0
    while at < end and (length := UNITS[container].length(window, at)):
        at, count = at + length, count + _frames(container, length)
    for _ in range(_MOST_TAGS if count >= _CERTAIN else 0):
        at = past_trailers(window, at, container) if at < end else at
    return at >= end and count >= _CERTAIN


def _frames(container: Container, length: int) -> int:
    """Packets of a transport stream are walked many at a time."""
    return length // _PACKET if container is MPEGTS else 1


def _begin(window: Window, container: Container, low: int, high: int) -> int | None:
    """The first frame of all, where others stand at `high`; None where they begin at `low` already."""
    if _first(window, container, low, _OWN) is not None:
        return None
    while high - low > _LOOK:
        middle = (low + high) // 2
        if _first(window, container, middle, _LOOK) is None:
            low = middle
        else:
            high = middle
    return _first(window, container, low, 2 * _LOOK)


def _first(window: Window, container: Container, at: int, reach: int) -> int | None:
    """Where frames begin, at most so many bytes behind `at`."""
    places = islice(_places(container, window.read(at, reach), at), _MOST_TRIES)
    return next((place for place in places if _run(window, container, place)), None)


def _run(window: Window, container: Container, at: int) -> bool:
    """Whether enough of them follow each other that begin alike."""
    mark, count = window.head(at, 2), 0
    while count < _CERTAIN and at < window.size:
        length = UNITS[container].length(window, at)
        if not length or (container is not MPEGTS and window.head(at, 2) != mark):
            return False
        at, count = at + length, count + _frames(container, length)
    return count >= _CERTAIN
