"""Sound in one chunk, of blocks that are all as long as each other, or of frames that say how long they are; before it stands a
header that says how much there is, which is told anew of what is left.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pipeline.audio.access.entry import Entry
from pipeline.audio.containers.chunks import Chunk, Chunks, chunks, sound_chunk
from pipeline.audio.containers.table import AIFF, AU, CAF, W64, WAV, Container
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.seek.walks.frame_walk import FRAMES, frame_before
from pipeline.audio.seek.walks.packet_sizes import sample_bytes
from pipeline.audio.step_budget import StepBudget

BY_CHUNKS = (WAV, W64, AIFF, AU, CAF)
_LONGEST_HEAD = 2**20
_INSIDE = {AIFF: 8, CAF: 4}  # bytes of the chunk that precede the sound
_LENGTHS = {
    WAV: ("<I", 4),
    W64: ("<Q", 8),
    AIFF: (">I", 4),
    CAF: (">q", 8),
}  # how one is written, bytes before the content
_AU_LENGTH_AT = 8
_UNSAID = 0xFFFFFFFF
_IMA, _MS, _GSM = "adpcm_ima_wav", "adpcm_ms", "gsm_ms"
_IMA_QT = "adpcm_ima_qt"  # Apple's, in AIFF and CAF
_G722, _G726 = "adpcm_g722", "adpcm_g726"
_IMA_BITS = 4
_IMA_HEAD, _MS_HEAD = 4, 7  # bytes of a channel's header in a block


@dataclass(frozen=True)
class _File:
    """One that begins at `at`, with its chunk of sound; the sound itself begins at `begin`."""

    container: Container
    window: Window
    at: int
    walked: Chunks
    chunk: Chunk

    @property
    def begin(self) -> int:
        return self.chunk.start + _INSIDE.get(self.container, 0)

    def place(self, sound: AudioStream, latest: int, steps: StepBudget) -> tuple[int, int] | None:
        """(byte, samples before it)."""
        if self.container is WAV and sound.codec in FRAMES:
            frame = frame_before(self.window, self.begin, sound, latest, steps)
            return frame[:2] if frame else None
        size, samples = self._block(sound)
        count = latest // samples if size else 0
        return (self.begin + count * size, count * samples) if count else None

    def _block(self, sound: AudioStream) -> tuple[int, int]:
        """(bytes, samples of each channel); no bytes where that is not known."""
        width = sample_bytes(sound.codec) * sound.channels
        if self.container not in (WAV, W64):
            return (34 * sound.channels, 64) if sound.codec == _IMA_QT else (width, 1)
        form = self.walked.first(b"fmt ")
        layout = self.window.read(form.start, 16) if form else b""
        if len(layout) < struct.calcsize("<12x2H"):
            return 0, 1
        align, bits = struct.unpack("<12x2H", layout)
        if width:
            return (width, 1) if width == align else (0, 1)
        return _coded_block(sound, align, bits)

    def shorter(self, by: int) -> bytes:
        """Its header, which tells of a sound that is so many bytes shorter, where it says how long that is."""
        head, layout, place = bytearray(self.window.read(self.at, self.begin - self.at)), ">I", _AU_LENGTH_AT
        if self.container is not AU:
            layout, before = _LENGTHS[self.container]
            place = self.chunk.start - self.at - before
        (said,) = struct.unpack_from(layout, head, place)
        if self.container is WAV and said == _UNSAID and (long := self.walked.first(b"ds64")):
            layout, place = "<Q", long.start + 8 - self.at
            (said,) = struct.unpack_from(layout, head, place)
        if self.chunk.length is not None:
            struct.pack_into(layout, head, place, said - by)
        return bytes(head)


def chunk_entry(
    window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget, *, container: Container
) -> Entry | None:
    """Of a file that begins at `at`. Raises TooManySteps, struct.error and what else garbage leads to."""
    walked = chunks(window.read, at, window.size, container)
    chunk = sound_chunk(walked, container)
    if chunk is None or chunk.start - at > _LONGEST_HEAD:
        return None
    file = _File(container, window, at, walked, chunk)
    found = file.place(sound, latest, steps)
    if found is None or (chunk.length is not None and found[0] > chunk.start + chunk.length):
        return None
    return Entry((file.shorter(found[0] - file.begin),), *found)


def _coded_block(sound: AudioStream, align: int, bits: int) -> tuple[int, int]:
    """Of what is coded in blocks, as its decoder counts them."""
    channels = sound.channels
    if sound.codec == _IMA and bits == _IMA_BITS:
        return align, (align - _IMA_HEAD * channels) * 2 // channels + 1
    if sound.codec == _MS:
        return align, (align - _MS_HEAD * channels) * 2 // channels + 2
    if sound.codec == _GSM:
        return 65, 320
    if sound.codec == _G722 and channels == 1:
        return 1, 2
    return (bits, 8) if sound.codec == _G726 and channels == 1 else (0, 1)
