"""Where decoding may begin, so that what comes before need not be decoded, nor read where it lies elsewhere.

A whole decode counts samples. Where a decoder begins is as well known only where every sample has its place by its bytes (PCM), by
the number in its block's checked header (FLAC, WavPack), or where a walk over all that comes before has found nothing but units of
one kind, one behind the other, whose stamps, if they have any, are their samples' count. A bit rate is never asked. What is joined,
damaged, cut off, edited, of several tracks, or has more units than are walked over, is decoded from its beginning.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from pipeline.audio.access.entry import Entry
from pipeline.audio.access.open_source import OpenSource
from pipeline.audio.containers.table import (
    AAC,
    AC3,
    AMR,
    AVI,
    DTS,
    EAC3,
    FLAC,
    FLV,
    MATROSKA,
    MP3,
    MP4,
    MPEG,
    MPEGTS,
    OGG,
    WAVPACK,
    Container,
)
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4_boxes import boxes
from pipeline.audio.seek.chunk_entries import BY_CHUNKS, chunk_entry
from pipeline.audio.seek.flac_search import flac_entry
from pipeline.audio.seek.sample_table import table_entry
from pipeline.audio.seek.walks.avi_walk import avi_entry
from pipeline.audio.seek.walks.block_walk import block_entry
from pipeline.audio.seek.walks.flv_walk import flv_entry
from pipeline.audio.seek.walks.frame_walk import amr_entry, bare_entry, mp3_entry
from pipeline.audio.seek.walks.ogg_walk import ogg_entry
from pipeline.audio.seek.walks.piece_walk import piece_entry
from pipeline.audio.seek.walks.program_walk import program_entry, transport_entry
from pipeline.audio.seek.walks.wavpack_walk import wavpack_entry
from pipeline.audio.source import Recording
from pipeline.audio.step_budget import StepBudget, TooManySteps

MOST_UNITS = 1_000_000  # frames, packets, pages: five hours and a half of packets of 20 ms, and a second or two of processor time
_BROKEN = (IndexError, KeyError, ValueError, OverflowError, ZeroDivisionError, struct.error)  # what garbage leads to


def _mp4(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | bool | None:
    in_pieces = any(box.name == b"moof" for box in steps.over(boxes(window.head, at, window.size)))
    return (piece_entry if in_pieces else table_entry)(window, at, sound, latest, steps)


Walk = Callable[[Window, int, AudioStream, int, StepBudget], Entry | bool | None]
_WALKS: Mapping[Container, tuple[Walk, tuple[str, ...]]] = {  # each with the codecs it knows, none: any
    MP3: (mp3_entry, ("mp3", "mp2")),
    AAC: (bare_entry, ("aac",)),
    AC3: (bare_entry, ("ac3",)),
    EAC3: (bare_entry, ("eac3",)),
    DTS: (bare_entry, ("dts",)),
    AMR: (amr_entry, ("amr_nb", "amr_wb")),
    FLAC: (flac_entry, ("flac",)),
    OGG: (ogg_entry, ("opus", "vorbis", "flac")),
    MP4: (_mp4, ()),
    AVI: (avi_entry, ()),
    MATROSKA: (block_entry, ()),
    FLV: (flv_entry, ("aac", "mp3", "nellymoser")),
    WAVPACK: (wavpack_entry, ("wavpack",)),
    MPEG: (program_entry, ("mp2", "mp3", "ac3", "dts")),
    MPEGTS: (transport_entry, ("mp2", "mp3", "aac", "ac3", "eac3", "dts")),
    **{one: (partial(chunk_entry, container=one), ()) for one in BY_CHUNKS},
}


def entry_before(source: OpenSource, recording: Recording, sound: AudioStream, latest: int) -> Entry | bool:
    """Where to begin so that the sample `latest` of the input is decoded, of the only recording in an open file, whose only track
    is `sound`. True: ffmpeg finds the very place by its stamp; False: with the beginning. Never raises, whatever the bytes are."""
    container, claim = recording.found.container, recording.claim
    is_plain = replace(recording, claim=None, end=0) == Recording(recording.found)  # tags may stand behind it
    if not is_plain or (claim and (claim.cut or claim.unended)):
        return False
    walk, codecs = _WALKS.get(container, (None, ()))
    if walk is None or (codecs and sound.codec not in codecs):
        return False
    window = Window(source.read, recording.end or source.size)
    try:
        return walk(window, recording.found.start, sound, latest, StepBudget(MOST_UNITS)) or False
    except (*_BROKEN, TooManySteps):
        return False
