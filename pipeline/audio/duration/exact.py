"""How long a file in memory sounds, counted frame by frame in this process, without decoding it.

A header that says how long a file is decides nothing: what counts are the frames that are there, and where a header and they
disagree nothing is said. The answer is what `decode` would count, within one frame of the codec; None where that cannot be
known exactly and cheaply, and then the file is decoded.

While the frames are walked over, each also tells how loud it is, as its codec writes it: mp3 and AAC have a gain, FLAC and Opus
need more bytes for louder sound. Speech rises and falls; a file whose levels do neither may be silence or noise, and is not
shown to hold speech.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.table import AAC, FLAC, MATROSKA, MP3, MP4, OGG, WAV, Container, Found
from pipeline.audio.duration import aac, flac, matroska, mp3, mp4, ogg, wav
from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.joined.links import links
from pipeline.audio.sniff import sniff_file
from pipeline.audio.step_budget import StepBudget
from pipeline.errors import StenopoolError

_LOOK = 16 * 1024  # bytes; `decode` looks at more, of which nothing further behind is ever asked
_MEASURERS: Mapping[Container, Callable[[bytes, StepBudget], Extent | None]] = {
    WAV: wav.extent,
    MP3: mp3.extent,
    AAC: aac.extent,
    FLAC: flac.extent,
    OGG: ogg.extent,
    MP4: mp4.extent,
    MATROSKA: matroska.extent,
}
_TAGGED = (MP3, AAC, FLAC)  # whose measurers look behind a tag
_TO_THE_END = (WAV, MP3, AAC, OGG)  # whose measurers account for every byte of a plain file
_BROKEN = (IndexError, KeyError, ValueError, OverflowError, ZeroDivisionError, struct.error)  # what garbage leads to


def container_of(data: bytes) -> Container | None:
    """What the file is by its first bytes; None where `decode` would refuse it, or has to be told more than that."""
    try:
        found = sniff_file(lambda offset: data[offset : offset + _LOOK])
    except StenopoolError:
        return None
    plain = not found.options and (not found.start or found.container in _TAGGED)
    return found.container if plain else None


def measured(data: bytes, container: Container) -> Extent | None:
    """The file's extent, None where it cannot be told. Never raises, whatever the bytes are."""
    measurer, steps = _MEASURERS.get(container), StepBudget.for_bytes(len(data))
    try:
        found = measurer(data, steps) if measurer else None
        if found is None or not found.plausible:
            return None
        if (container not in _TO_THE_END or not found.plain) and _joined(data, container, steps):
            return None
    except _BROKEN:
        return None
    return found


def _joined(data: bytes, container: Container, steps: StepBudget) -> bool:
    """Whether several recordings stand in it, of which one alone was measured."""
    start = tag_length(data[:TAG_HEADER]) if container in _TAGGED else 0
    return len(links(steps.counted(lambda at, length: data[at : at + length]), len(data), Found(container, start))) > 1


def measured_ms(data: bytes) -> int | None:
    """The length in ms, None where it cannot be told exactly and fast."""
    container = container_of(data)
    found = measured(data, container) if container else None
    return found.ms if found else None
