"""What a recording says of its own length, against what was decoded of it: where something is missing, a demuxer may be silent."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.audio.containers.table import AAC, AC3, AMR, ASF, DTS, EAC3, MPEG, MPEGTS, OGG, W64, WAV, Container
from pipeline.audio.ffmpeg.log_parser import Log

_STEADY = (AC3, EAC3, DTS)  # whose length can be reckoned from their bit rate, unless several were joined
_LIARS = (AAC, AMR, WAV, W64)  # whose length cannot, though it is
_TIMED_TO_THE_END = (OGG, ASF)  # whose length is the stamp of their end
_BY_STAMPS = (MPEG, MPEGTS)  # whose length is the last stamp that looks like one
_CERTAIN = 0.5  # seconds; no writer is so wrong about the length of what it wrote
_LEAST = 0.02  # seconds; less is a codec's own delay


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was decoded of a stream: up to where on its clock, whose zero is the stamp `zero`, in seconds; whether a decoder has
    complained at all, and whether it did so at the end."""

    reached: float
    zero: float
    damaged: bool
    ends_damaged: bool


def tells_by_end(container: Container) -> bool:
    """Whether its length may be known by what stands at its end, or by how far away that is."""
    return container not in _LIARS


def lacking(container: Container, log: Log, heard: Heard) -> float:
    """The seconds that are missing; 0 where nobody can tell. A film may go on without sound."""
    if log.guessed if container not in _STEADY else not heard.damaged:
        return 0.0
    if container in _LIARS:
        return 0.0
    missing = log.duration - (heard.zero if container in _TIMED_TO_THE_END else 0.0) - heard.reached
    if container in _BY_STAMPS and missing > heard.reached:  # a stamp that damage has made is no length
        return 0.0
    is_certain = log.tracks == 1 and missing >= _CERTAIN
    may_be = heard.ends_damaged or (log.damaged_before and missing > _LEAST)
    return max(0.0, missing) if is_certain or may_be else 0.0
