"""Which recordings' clocks are proven up to a place, so that what comes before it need not be decoded.

ffmpeg goes to a time stamp; a whole decode counts samples. Both are the same place only where every sample has its place by its
bytes (PCM), by the number in its frame's checked header (FLAC), or where a walk over all that comes before has found nothing but
units of one kind, one behind the other, whose stamps are their samples' count. A bit rate is never asked. What is joined, damaged,
cut off, edited, of several tracks, or has more units than are walked over, is decoded from its beginning.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace

from pipeline.audio.access.open_source import OpenSource
from pipeline.audio.containers.table import AAC, AIFF, AU, CAF, FLAC, MATROSKA, MP3, MP4, OGG, W64, WAV, Container
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.seek.block_walk import BlockPlaces, blocks_until
from pipeline.audio.seek.frame_walk import aac_frames_reach, mpeg_frames_reach
from pipeline.audio.seek.opus_walk import opus_pages_reach
from pipeline.audio.seek.sample_table import has_even_times
from pipeline.audio.source import Recording
from pipeline.audio.step_budget import StepBudget, TooManySteps

MOST_UNITS = 1_000_000  # frames, packets, pages: five hours and a half of packets of 20 ms, and a second or two of processor time
_BY_BYTES = (WAV, W64, AIFF, AU, CAF)
_BROKEN = (IndexError, KeyError, ValueError, OverflowError, ZeroDivisionError, struct.error)  # what garbage leads to

Walk = Callable[[Window, int, AudioStream, float, StepBudget], bool | BlockPlaces | None]
_WALKS: Mapping[tuple[Container, str], Walk] = {
    (MP3, "mp3"): mpeg_frames_reach,
    (MP3, "mp2"): mpeg_frames_reach,
    (AAC, "aac"): aac_frames_reach,
    (OGG, "opus"): opus_pages_reach,
    (MP4, "aac"): has_even_times,
    (MATROSKA, "opus"): blocks_until,
    (MATROSKA, "aac"): blocks_until,
}


def proof(source: OpenSource, recording: Recording, sound: AudioStream, seconds: float) -> bool | BlockPlaces:
    """Whether decoding may begin so many seconds behind the beginning of the only recording in an open file, whose only track is
    `sound`; where its stamps alone do not tell the very sample, what does. Never raises, whatever the bytes are."""
    container, claim = recording.found.container, recording.claim
    if replace(recording, claim=None) != Recording(recording.found) or (claim and (claim.cut or claim.unended)):
        return False
    if container in _BY_BYTES:
        return sound.codec.startswith("pcm_")
    if container is FLAC:
        return sound.codec == "flac"
    walk = _WALKS.get((container, sound.codec))
    if walk is None:
        return False
    window = Window(source.read, source.size)
    try:
        return walk(window, recording.found.start, sound, seconds, StepBudget(MOST_UNITS)) or False
    except (*_BROKEN, TooManySteps):
        return False
