"""mp3, frame by frame: what a tag at its front says of its length is not believed."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from pipeline.audio.containers.id3_tag import tag_length
from pipeline.audio.duration.bit_reservoir import Heads, fits, frame_heads, side_bytes
from pipeline.audio.duration.frame_count import ENOUGH_LEVELS, Extent
from pipeline.audio.mpeg_frames import MpegFrame, mpeg_frame
from pipeline.audio.step_budget import StepBudget

_DELAY = 1105  # samples that a decoder adds; see audio.decode
_LAYER3 = 3
_SILENT = -150.0  # dB; for a frame without a bit of sound in it
_GAIN_STEP = 20 * 0.25 * 0.30103  # dB; the gain's unit is a fourth of a power of two
_XING = (b"Xing", b"Info")
_VBRI_AT = 36  # in the first frame: Fraunhofer's tag
_OLD_TAG = 128  # bytes of ID3v1
_LAME = (b"LAME", b"Lavf", b"Lavc")  # whose delays ffmpeg believes
_XING_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))  # (flag, bytes)


def extent(data: bytes, steps: StepBudget) -> Extent | None:
    """None where the frames do not follow each other to the end, or change their kind."""
    at = 0
    while step := tag_length(data[at : at + 10]):
        steps.take()
        at += step
    first = mpeg_frame(data[at : at + 4])
    if first is None:
        return None
    tag = data[at : at + first.length]
    trimmed = _trimmed(tag, first)
    if trimmed is None:
        trimmed = _DELAY if first.layer == _LAYER3 else 0
    else:
        at += first.length
    frames, end = _walk(data, at, first, steps)
    if not _may_end(data, end):
        return None
    samples = len(frames) * first.samples - trimmed
    if not frames or first.layer != _LAYER3:
        return Extent(samples, first.rate)
    heads = frame_heads(data, frames, first)
    alone = first.mono and _kept(tag, first, len(frames)) and _ends(data, end)
    plain = alone and fits(heads, frames, end, first)
    return Extent(samples, first.rate, _levels(heads, first), plain)


def _walk(data: bytes, at: int, first: MpegFrame, steps: StepBudget) -> tuple[Sequence[int], int]:
    """(where each frame begins, where the last one ends). Headers repeat, so each is understood once."""
    lengths: dict[bytes, int] = {}
    alike, total = _alike(data, at, first), len(data)
    steps.take(len(alike))
    if alike and alike.stop == total:
        return alike, total
    frames, at = list(alike), alike.stop if alike else at
    while at < total:
        steps.take()
        length = lengths.get(data[at : at + 4])
        if length is None:
            frame = mpeg_frame(data[at : at + 4])
            if frame is None or not frame.same_stream(first):
                break
            length = lengths[data[at : at + 4]] = frame.length
        if at + length > total:  # the last one is cut off: a decoder drops it
            return frames, total
        frames.append(at)
        at += length
    return frames, at


def _alike(data: bytes, at: int, first: MpegFrame) -> range:
    """All frames at once where every whole one has the same header, as in most files of a constant bit rate that a padding is
    foreign to; none where they differ."""
    end = len(data) - (len(data) - at) % first.length
    headers = [data[at + byte : end : first.length] for byte in range(4)]
    if mpeg_frame(data[at : at + 4]) != first or any(len(one) != one.count(one[:1]) for one in headers):
        return range(0)
    return range(at, end, first.length)


def _levels(heads: Heads, first: MpegFrame) -> list[float]:
    """How loud some of the frames are, evenly chosen."""
    gain_at, bits_at = _places(first)
    begin = 6 if first.checked else 4
    some = heads[:: max(1, len(heads) // ENOUGH_LEVELS), begin : begin + 8]
    eights = np.ascontiguousarray(some).view(">u8")[:, 0].astype(np.uint64)
    gains = _GAIN_STEP * (eights >> np.uint64(gain_at) & np.uint64(0xFF)).astype(np.float64)
    levels: list[float] = np.where(eights >> np.uint64(bits_at) & np.uint64(0xFFF), gains, _SILENT).tolist()
    return levels


def _places(frame: MpegFrame) -> tuple[int, int]:
    """How far the first granule's gain and its number of bits of sound are from the end of the first eight bytes of the side
    information."""
    begins = (18 if frame.mono else 20) if frame.version1 else (9 if frame.mono else 10)
    return 64 - (begins + 21) - 8, 64 - begins - 12


def _kept(tag: bytes, kind: MpegFrame, count: int) -> bool:
    """Whether there are as many frames as a tag in the first one says, if there is such a tag."""
    at = 4 + side_bytes(kind)
    told = tag[at : at + 4] in _XING and tag[at + 7] & _XING_FIELDS[0][0]
    return not tag.startswith(b"VBRI", _VBRI_AT) and (not told or int.from_bytes(tag[at + 8 : at + 12], "big") == count)


def _ends(data: bytes, end: int) -> bool:
    """Whether nothing follows, or what players have always put there: a tag of 128 bytes."""
    rest = data[end:]
    return not rest or (len(rest) == _OLD_TAG and rest.startswith(b"TAG"))


def _trimmed(frame: bytes, kind: MpegFrame) -> int | None:
    """Samples that are not sound, if this first frame is a Xing tag and not sound itself; None where it is sound."""
    if kind.layer != _LAYER3:
        return None
    at = 4 + side_bytes(kind)
    if frame[at : at + 4] not in _XING:
        return None
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    at += 8 + sum(size for flag, size in _XING_FIELDS if flags & flag)
    if frame[at : at + 4] not in _LAME:
        return _DELAY
    delays = int.from_bytes(frame[at + 21 : at + 24], "big")
    return (delays >> 12) + (delays & 0xFFF)


def _may_end(data: bytes, at: int) -> bool:
    """Whether sound may end here: at the end, or before what players put behind it."""
    rest = data[at : at + 128]
    return not rest or rest.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN")) or not data[at:].strip(b"\0")
