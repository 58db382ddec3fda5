"""Tags of Flash Video (FLV and F4V file format specification 10.1, annex E): sound, pictures, descriptions, each with its length
before and behind it."""

from __future__ import annotations

import re

from pipeline.audio.containers.chunks import Read
from pipeline.audio.joined.window import Window

MARK = re.compile(rb"[\x08\x09\x12].{7}\x00{3}", re.DOTALL)  # the header of a tag, whose stream is 0
_FILE = b"FLV\x01"
_SOUND, _PICTURE, _DESCRIPTION = 8, 9, 18
_HEADER, _LENGTH = 11, 4  # bytes of it, and of the length behind its content
_LOOK = 256 * 1024  # bytes that the first sound is within
_AAC, _CONFIG = 10, b"\0"  # kind of sound, in four bits; and what follows where it tells of all the others


def tag_length(window: Window, at: int) -> int:
    """Bytes of the tag at `at` with its length once more, or of the file's header with the length of no tag; 0 where there is none.
    What neither has that length behind it, as some writers leave it away, nor a tag, is not so long."""
    head = window.head(at, _HEADER)
    if head[:4] == _FILE:
        return int.from_bytes(head[5:9], "big") + _LENGTH
    if not MARK.match(head):
        return 0
    end = at + _HEADER + int.from_bytes(head[1:4], "big")
    behind = window.head(end, _LENGTH + _HEADER)
    is_last = end + _LENGTH >= window.size
    told = int.from_bytes(behind[:_LENGTH], "big") == end - at
    return end + _LENGTH - at if told or is_last or MARK.match(behind[_LENGTH:]) else 0


def lacks_configuration(read: Read, at: int, end: int) -> bool:
    """Whether AAC begins without what tells of its rate and channels, in the file from `at` to `end`. Raises what `read` does."""
    window = Window(read, end)
    for mark in MARK.finditer(window.head(at, min(_LOOK, end - at))):
        place = at + mark.start()
        if mark[0][0] == _SOUND and tag_length(window, place):
            kind, config = window.head(place + _HEADER, 2).ljust(2, _CONFIG)
            return kind >> 4 == _AAC and bytes((config,)) != _CONFIG
    return False
