"""AAC in ADTS, and what a frame of AAC says of its loudness (ISO/IEC 14496-3)."""

from __future__ import annotations

from pipeline.audio.containers.id3_tag import tag_length
from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.mpeg_frames import aac_frame
from pipeline.audio.step_budget import StepBudget

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)  # Hz, by index
FRAME_SAMPLES = 1024  # of the core codec; where a finer band is added, both rate and samples double
_DELAY = 1024  # samples that a decoder adds; see audio.decode
_GAIN_STEP = 20 * 0.25 * 0.30103  # dB
_SINGLE, _PAIR = 0, 1  # elements with one and two channels
_OF_ONE_CHANNEL = (_SINGLE, 4, 6)  # what a frame may begin with: sound, or data and filling before it
_LASTING = 0xFD  # bits of the third byte of a header that no stream changes: all but a private one
_SHORT_WINDOWS = 2
_SHORTEST = 4  # bytes; less holds no sound


def extent(data: bytes, steps: StepBudget) -> Extent | None:
    """None where the frames do not follow each other to the end, or change their kind."""
    at = tag_length(data[:10])
    first, levels, total, plain = None, [], len(data), True
    while at < total:
        steps.take()
        frame = aac_frame(data[at : at + 7])
        if frame is None:
            return None
        length, header, index = frame
        kind = (data[at + 1], data[at + 2] & _LASTING, data[at + 3] >> 6)
        first = first or (index, kind)
        if first != (index, kind):
            return None
        if at + length > total:
            plain = False
            break
        levels.append(loudness(data[at + header : at + header + 8]))
        plain &= data[at + header] >> 5 in _OF_ONE_CHANNEL
        at += length
    if first is None:
        return None
    rate, (_, profile, channels) = RATES[first[0]], first[1]
    plain &= (profile & 1) << 2 | channels == 1
    return Extent(len(levels) * FRAME_SAMPLES - _DELAY, rate, levels, plain)


def loudness(frame: bytes) -> float:
    """dB by the gain of the frame's first channel, from its first eight bytes; 0 where it is not where it usually is."""
    if len(frame) < _SHORTEST:
        return 0.0
    bits = int.from_bytes(frame[:8].ljust(8, b"\0"), "big")

    def take(at: int, count: int) -> int:
        return bits >> (64 - at - count) & (1 << count) - 1

    element = take(0, 3)
    if element == _SINGLE:
        return _GAIN_STEP * take(7, 8)
    if element != _PAIR:
        return 0.0
    if not take(7, 1):  # each channel for itself
        return _GAIN_STEP * take(8, 8)
    short = take(9, 2) == _SHORT_WINDOWS
    bands, at = (take(12, 4), 23) if short else (take(12, 6), 19)
    if take(at, 2) != 1:  # no mask of bands
        return _GAIN_STEP * take(at + 2, 8)
    end = at + 2 + (bands if not short else 64)
    return _GAIN_STEP * take(end, 8) if end + 8 <= 64 else 0.0  # noqa: PLR2004
