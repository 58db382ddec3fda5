"""Linear samples in one chunk, and those of a byte by the laws of telephony, as WAV, Wave64, AIFF, CAF, AU and MP4 hold them: how
wide they are, and from where to where they reach by what the file says. Sources: those of `pipeline.audio.containers.chunks`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pipeline.audio.containers.chunks import Chunks, Read, chunks, sound_chunk
from pipeline.audio.containers.table import AIFF, AU, CAF, MP4, W64, WAV, Found
from pipeline.audio.containers.wav_layout import sample_layout
from pipeline.audio.mp4.linear_track import linear_track
from pipeline.audio.mp4_boxes import boxes

_WIDTHS, _CHANNELS = range(1, 9), range(1, 65)  # bytes of a sample, and how many are a frame
_AU_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # bytes of a sample, by encoding
_AIFF_SIZE = 18  # bytes of a layout that names no kind
_AIFF_KINDS = (b"", b"NONE", b"twos", b"sowt", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64")
_LAWS = (b"ulaw", b"ULAW", b"alaw", b"ALAW")  # of AIFF and CAF: a byte each, whatever they say of what was packed
_INSIDE = {AIFF: 8, CAF: 4}  # bytes of the chunk that precede the sound
_OUTER = {
    WAV: ("<I", 4, 8),
    AIFF: (">I", 4, 8),
    W64: ("<Q", 16, 0),
}  # how its length is written, where, and what it leaves out
_MOST_BEHIND = 2**20  # bytes of tags that stand behind the sound
_LOOK = 40  # bytes of a layout


@dataclass(frozen=True, slots=True)
class LinearSamples:
    """`start` and `end` are the first byte of the sound and the first behind it, and `file_end` that behind the file, as they would
    be were it whole; `width` bytes are a sample, `frame` bytes one of each channel, of which there are `rate` a second."""

    start: int
    end: int
    file_end: int
    width: int
    frame: int
    rate: float


def linear_samples(read: Read, found: Found, size: int, *, unsaid: bool = False) -> LinearSamples | None:
    """Of what begins at `found.start` in a file of `size` bytes; None where the sound is coded (by no law of telephony), or says no
    length, or nothing that makes sense, or where what describes it stands behind it; `unsaid`: one of no length has none. Raises
    what `read` does alone."""
    try:
        if found.container is MP4:
            return _in_mp4(read, found.start, size)
        return _described(read, found, size, unsaid=unsaid) if found.container in _LAYOUTS else None
    except (ArithmeticError, IndexError, ValueError, struct.error):
        return None


def _described(read: Read, found: Found, size: int, *, unsaid: bool) -> LinearSamples | None:
    container, at = found.container, found.start
    walked = chunks(read, at, size, container)
    sound, layout = sound_chunk(walked, container), _LAYOUTS[container](read, at, walked)
    if layout is None or sound is None or (sound.length is None and not unsaid):
        return None
    width, channels, rate = layout
    inside = _INSIDE.get(container, 0)
    end = sound.start + (inside if sound.length is None else sound.length)
    if width not in _WIDTHS or channels not in _CHANNELS or not rate > 0:
        return None
    return LinearSamples(sound.start + inside, end, file_end(read, found, end), width, width * channels, rate)


def _in_mp4(read: Read, at: int, size: int) -> LinearSamples | None:
    """Of one whose index stands in front of its only track."""
    outer = list(boxes(read, at, size))
    index, last = next((box for box in outer if box.name == b"moov"), None), outer[-1]
    tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak"] if index else []
    track = linear_track(read, tracks[0]) if len(tracks) == 1 and last.name == b"mdat" else None
    if track is None or track.extent is None:
        return None
    start, end = track.extent
    return LinearSamples(at + start, at + end, last.end, track.frame // track.channels, track.frame, track.rate)


def file_end(read: Read, found: Found, end: int) -> int:
    """What the file says of its own length, where tags may stand behind the sound; else it ends with that."""
    if found.container not in _OUTER:
        return end
    layout, place, left_out = _OUTER[found.container]
    (length,) = struct.unpack(layout, read(found.start + place, struct.calcsize(layout)))
    told = int(found.start + left_out + length)
    return told if end < told <= end + _MOST_BEHIND else end


def _wav(read: Read, _at: int, walked: Chunks) -> tuple[int, int, float] | None:
    form = walked.first(b"fmt ")
    layout = sample_layout(read(form.start, _LOOK)) if form else None
    return (layout.block // layout.channels, layout.channels, layout.rate) if layout else None


def _aiff(read: Read, _at: int, walked: Chunks) -> tuple[int, int, float] | None:
    form, sound = walked.first(b"COMM"), walked.first(b"SSND")
    if form is None or sound is None or form.start > sound.start:
        return None
    channels, bits, exponent, mantissa = struct.unpack(">H4xHHQ", read(form.start, _AIFF_SIZE))
    kind = read(form.start + _AIFF_SIZE, 4) if form.length and form.length > _AIFF_SIZE else b""
    width = 1 if kind in _LAWS else (bits + 7) // 8
    return (width, channels, mantissa * 2.0 ** (exponent - 16446)) if kind in (*_AIFF_KINDS, *_LAWS) else None


def _caf(read: Read, _at: int, walked: Chunks) -> tuple[int, int, float] | None:
    form = walked.first(b"desc")
    if form is None:
        return None
    rate, kind, packet, frames, channels = struct.unpack(">d4s4x3I", read(form.start, 28))
    linear = kind in (b"lpcm", *_LAWS) and frames == 1 and channels and not packet % channels
    return (packet // channels, channels, rate) if linear else None


def _au(read: Read, at: int, _walked: Chunks) -> tuple[int, int, float] | None:
    encoding, rate, channels = struct.unpack(">12x3I", read(at, 24))
    return (_AU_WIDTHS[encoding], channels, rate) if encoding in _AU_WIDTHS else None


_LAYOUTS = {WAV: _wav, W64: _wav, AIFF: _aiff, CAF: _caf, AU: _au}
