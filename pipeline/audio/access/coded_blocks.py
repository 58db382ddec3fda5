"""Blocks of ADPCM in a WAV or Wave64, all as long as each other, out of which bytes are missing, as a bad copy leaves them: from
there on a decoder takes what stands inside of blocks for their headers, and makes noise of it.

Each begins with where its decoder starts: of IMA's one of 89 steps and a byte that is zero, of Microsoft's one of seven predictors
and a step of 16 at least (Multimedia Registration Kit, 1994). Bytes are missing where these begin to stand so much nearer to the
front. Of whole blocks nobody can tell.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from pipeline.audio.access.cut_out import Flags, Heads, split
from pipeline.audio.containers.chunks import Read, chunks, sound_chunk
from pipeline.audio.containers.table import W64, WAV, Found
from pipeline.audio.linear.layout import file_end

Missing = tuple[int, int]  # before which byte of the file, and how many

_MS, _IMA = 2, 17  # kinds of WAV
_IMA_HEAD, _STEPS = 4, 89  # bytes of a channel's header: a sample, a step, and nothing
_PREDICTORS, _LEAST_STEP = 7, 16
_CHANNELS, _SIZES = range(1, 9), range(32, 65_536)  # of a block, in bytes
_MOST_BLOCKS = 10_000_000
_READ = 2**20  # bytes at once
_BITS = 4  # of a sample
_FEWEST, _CERTAIN = 8, 0.95  # blocks behind a header's end that prove that it goes on, if so many begin as one does


@dataclass(frozen=True, slots=True)
class CodedBlocks:
    """`start` and `end` are the first byte of the sound and the first behind it, and `file_end` that behind the file, as they would
    be were it whole; `size` bytes are a block, of which there are `rate` a second."""

    start: int
    end: int
    file_end: int
    kind: int
    channels: int
    size: int
    rate: float

    def begin(self, read: Read, offset: int, count: int, end: int) -> Flags:
        """Whether a block can begin at each of so many places, `size` bytes from each other, the first of them so many bytes behind
        `start`; none does behind `end` or in front of the sound."""
        first = -(offset // self.size) if offset < 0 else 0
        flags, place = np.zeros(max(0, count), np.bool_), self.start + offset + first * self.size
        whole = min(count, first + max(0, (end - place) // self.size))
        while first < whole:
            some = min(whole - first, max(1, _READ // self.size))
            data = read(place, some * self.size)
            heads = np.frombuffer(data, np.uint8, len(data) // self.size * self.size).reshape(-1, self.size)
            flags[first : first + len(heads)] = self._are_heads(heads)
            first, place = first + some, place + some * self.size
        return flags

    def _are_heads(self, blocks: Heads) -> Flags:
        if self.kind == _MS:
            steps = np.ascontiguousarray(blocks[:, self.channels : 3 * self.channels]).view("<i2")
            return np.asarray(
                (blocks[:, : self.channels] < _PREDICTORS).all(axis=1) & (steps >= _LEAST_STEP).all(axis=1)
            )
        heads = blocks[:, : _IMA_HEAD * self.channels].reshape(len(blocks), self.channels, _IMA_HEAD)
        return np.asarray(((heads[:, :, 2] < _STEPS) & (heads[:, :, 3] == 0)).all(axis=1))


def coded_blocks(read: Read, found: Found, size: int) -> CodedBlocks | None:
    """Of what begins at `found.start` in a file of `size` bytes; None where it is nothing of the kind, or says no length. Raises
    what `read` does alone."""
    try:
        return _described(read, found, size) if found.container in (WAV, W64) else None
    except (ArithmeticError, ValueError, struct.error):
        return None


def _described(read: Read, found: Found, size: int) -> CodedBlocks | None:
    walked = chunks(read, found.start, size, found.container)
    form, sound = walked.first(b"fmt "), sound_chunk(walked, found.container)
    if form is None or sound is None or sound.length is None:
        return None
    kind, channels, rate, block, bits, samples = struct.unpack("<HHI4xHH2xH", read(form.start, 20))
    if kind not in (_MS, _IMA) or bits != _BITS or channels not in _CHANNELS or block not in _SIZES or not samples:
        return None
    end = sound.start + sound.length
    return CodedBlocks(sound.start, end, file_end(read, found, end), kind, channels, block, rate / samples)


def cut_blocks(read: Read, found: Found, size: int) -> Missing | None:
    """Of the file of `size` bytes, if some are missing at one place that are no whole blocks. The place is where the first whole
    block behind it begins. None for all others."""
    sound = coded_blocks(read, found, size)
    missing = max(sound.end, sound.file_end) - size if sound else 0
    if sound is None or missing <= 0 or not missing % sound.size or sound.end - missing <= sound.start:
        return None
    count, end = (sound.end - sound.start) // sound.size, sound.end - missing
    if count > _MOST_BLOCKS:
        return None
    here, moved = sound.begin(read, 0, count, end), sound.begin(read, -missing, count, end)
    first = split(here, moved)
    return None if first is None else (sound.start + first * sound.size - missing, missing)


def lost_blocks(read: Read, sound: CodedBlocks, start: int, end: int) -> tuple[int, int]:
    """From which block to which there is nothing whole, where the bytes from `start` to `end` of the file stand for others."""
    first = (start - sound.start) // sound.size
    is_torn = sound.begin(read, first * sound.size, 1, start + sound.size)[0]  # else it is the one before
    return (first if is_torn else max(0, first - 1)), (end - sound.start) // sound.size


def told_too_few(read: Read, found: Found, end: int) -> float | None:
    """At which second its header ends a WAV that goes on up to `end`, with nothing else behind that is known; None where it does
    not."""
    sound = coded_blocks(read, found, end) if found.container is WAV else None
    told = (sound.end - sound.start) // sound.size if sound else 0
    if sound is None or sound.end >= end or chunks(read, found.start, end, WAV).end > sound.end + 1:
        return None
    count = min(_MOST_BLOCKS, (end - sound.start) // sound.size - told)
    flags = sound.begin(read, told * sound.size, count, end)
    return told / sound.rate if count >= _FEWEST and flags.mean() >= _CERTAIN else None
