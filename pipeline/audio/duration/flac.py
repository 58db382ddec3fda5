"""FLAC (RFC 9639): its frames one by one, each with its own number, a checked header and a checksum over all of it."""

from __future__ import annotations

import math

from pipeline.audio.containers.flac_checksum import whole_frames
from pipeline.audio.containers.flac_headers import LONGEST_FRAME_HEADER, FlacFrame, FlacHeader, flac_frame, flac_header
from pipeline.audio.containers.id3_tag import tag_length
from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.step_budget import StepBudget

_MARK = b"\xff\xf8"  # of frames in a stream whose blocks are of one length
_QUIET = 0.5  # bits for a sample
_RATES = {
    1: 88_200,
    2: 176_400,
    3: 192_000,
    4: 8_000,
    5: 16_000,
    6: 22_050,
    7: 24_000,
    8: 32_000,
    9: 44_100,
    10: 48_000,
    11: 96_000,
}
_UNITS = {12: 1000, 13: 1, 14: 10}  # Hz, of a rate that follows in the header
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
_ONE_CHANNEL = 0


def extent(data: bytes, steps: StepBudget) -> Extent | None:
    """None unless every frame of a stream with equal blocks is found, and the length that the header states is theirs."""
    header = flac_header(lambda at, length: data[at : at + length], tag_length(data[:10]))
    if header is None or header.blocks[0] != header.blocks[1]:
        return None
    frames = _frames(data, header.end, steps)
    sizes = [frame.samples for _, frame in frames]
    samples = sum(sizes)
    if not sizes or (header.samples and header.samples != samples) or any(size != sizes[0] for size in sizes[:-1]):
        return None
    places = [place for place, _ in frames]
    spent = [8 * (end - begin) / size for begin, end, size in zip(places, [*places[1:], len(data)], sizes, strict=True)]
    levels = [20 * math.log10(2) * max(_QUIET, bits) for bits in spent[:-1] or spent]
    plain = all(_as_described(frame, header) for _, frame in frames) and whole_frames(data, places)
    return Extent(samples, header.rate, levels, plain)


def _frames(data: bytes, at: int, steps: StepBudget) -> list[tuple[int, FlacFrame]]:
    """(offset, header) of each frame; the numbers in their headers count up from zero."""
    found: list[tuple[int, FlacFrame]] = []
    while at >= 0 and data.startswith(_MARK, at):
        steps.take()
        frame = flac_frame(data[at : at + LONGEST_FRAME_HEADER])
        if frame and frame.number == len(found):
            found.append((at, frame))
        at = data.find(_MARK, at + 1)
    return found


def _as_described(frame: FlacFrame, header: FlacHeader) -> bool:
    """Whether it is of one channel and of the format that stands at the front; 0 stands for just that."""
    rate, channels, bits = frame.layout
    code = rate & 15
    told = _RATES.get(code) or (rate >> 4) * _UNITS.get(code, 0)
    same = code == 0 or told == header.rate
    return same and channels == _ONE_CHANNEL and header.channels == 1 and (not bits or _BITS.get(bits) == header.bits)
