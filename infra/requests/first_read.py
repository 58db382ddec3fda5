"""What is learned of a recording that lies somewhere already, before a job of it is made: as little as tells is read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from pipeline.audio.duration.estimate import HEAD_BYTES, Ends
from pipeline.audio.first_look import FirstLook
from pipeline.audio.raw_sound import RawSound

WHOLE_BYTES = 4 * HEAD_BYTES  # up to so many, it is read to its end to know how long it lasts


def first_read(blocks: Generator[bytes, None, None], size: int, raw: RawSound | None) -> Ends:
    """The ends of what has `size` bytes, which are closed afterwards. Raises UnsupportedMedia by the first of them, and what
    reading raises."""
    look, ends, seen = None if raw else FirstLook(), Ends(), 0
    with closing(blocks):
        for block in blocks:
            seen += len(block)
            ends.add(block)
            if look is not None:
                look.add(block)
            if size > WHOLE_BYTES and seen >= HEAD_BYTES:
                break
    if look is not None and seen == size:
        look.finish()
    if seen < size:
        ends.skip(size - seen)
    return ends
