"""Headers of raw MPEG audio frames (ISO/IEC 11172-3, 13818-3, 13818-7): enough to know and to count a run of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from pipeline.audio.frame_runs import FrameSyntax, Search, follow

_V1, _LAYER1, _LAYER2, _LAYER3, _MONO = 3, 3, 2, 1, 3  # as the header's bits write them
_NO_EMPHASIS, _NO_RATE = 2, 0x0C  # reserved: an emphasis, a sampling rate in its place in the third byte
_MPEG_HEADER, _ADTS_HEADER = 4, 7  # bytes
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KBITS = {  # (version 1?, layer bits): bit rates of the indices 1 to 14
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True, slots=True)
class MpegFrame:
    """What a header of MPEG audio says of its frame: bytes and samples of it, Hz, and what else decides its layout."""

    length: int
    samples: int
    rate: int
    layer: int
    version1: bool
    mono: bool
    checked: bool  # a checksum of two bytes follows the header

    def same_stream(self, other: MpegFrame) -> bool:
        """Whether both can be of one stream; only the length differs from frame to frame."""
        mine = (self.samples, self.rate, self.layer, self.version1, self.mono, self.checked)
        return mine == (other.samples, other.rate, other.layer, other.version1, other.mono, other.checked)


@lru_cache(1024)  # of all headers that there may be, a recording has a dozen
def mpeg_frame(header: bytes) -> MpegFrame | None:
    """The frame that begins with these four bytes, None where they are no header."""
    length = _mpeg_audio_length(header) if len(header) == _MPEG_HEADER else 0
    if not length:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    samples = {1: 384, 2: 1152, 3: 1152 if version == _V1 else 576}[layer]
    rate = _RATES[version][header[2] >> 2 & 3]
    return MpegFrame(length, samples, rate, layer, version == _V1, header[3] >> 6 == _MONO, not header[1] & 1)


def aac_frame(header: bytes) -> tuple[int, int, int] | None:
    """(bytes, bytes of header, index of the rate) of the AAC frame that begins so, if it is one with one block of sound."""
    length = _adts_length(header) if len(header) == _ADTS_HEADER else 0
    return (length, 7 if header[1] & 1 else 9, header[2] >> 2 & 15) if length and not header[6] & 3 else None


def mpeg_audio_frames(data: bytes, offset: int, certain: int, *, short: bool = False) -> bool:
    """Whether `certain` frames of MPEG audio, any layer, follow each other from `offset`; `short` as in `follow`."""
    return follow(_MPEG_AUDIO, data, offset, certain, short=short)


def adts_frames(data: bytes, offset: int, certain: int) -> bool:
    """Whether AAC frames in ADTS follow each other from `offset`: `certain` of them, or as many as there are data."""
    return follow(_ADTS, data, offset, certain, short=True)


def frames_behind_rubbish(data: bytes, certain: int, *, end: int) -> tuple[int, bool] | None:
    """Where `certain` frames in a row begin, up to `end`, and whether they are AAC; None where they do not."""
    found = Search(_SYNC, (_USUAL, _ADTS)).first(data, certain, end=end)
    return (found[0], found[1] is _ADTS) if found else None


def _mpeg_audio_length(header: bytes) -> int:
    """Bytes to the next frame, 0 where this is no header. A free bit rate (index 0) is not supported."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if header[0] != 0xFF or header[1] < 0xE0 or version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:  # noqa: PLR2004
        return 0
    bits = _KBITS[version == _V1, layer][bitrate - 1] * 1000
    hertz = _RATES[version][rate]
    padding = header[2] >> 1 & 1
    if layer == _LAYER1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == _LAYER3 and version != _V1 else 144) * bits // hertz + padding


def _usual_length(header: bytes) -> int:
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    reserved = header[3] & 3 == _NO_EMPHASIS
    usual = layer == _LAYER3 or (layer == _LAYER2 and version)
    return _mpeg_audio_length(header) if usual and not reserved else 0


def _adts_length(header: bytes) -> int:
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:  # noqa: PLR2004
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > _ADTS_HEADER else 0


_MPEG_AUDIO = FrameSyntax(_mpeg_audio_length, _MPEG_HEADER, b"\xff\xfe\x0c")
_ADTS = FrameSyntax(_adts_length, _ADTS_HEADER, b"\xff\xfe\x3c")
# Tables and pictures repeat 0xFF in steps that look like frames of layers that nobody uses: behind rubbish only the second and
# the third count, the latter alone in version 2.5, and all that an encoder is told once must stay as it is.
_USUAL = FrameSyntax(_usual_length, _MPEG_HEADER, b"\xff\xfe\x0c\x0f")
# The first byte of a header, where the next two can be of one: version and layer, then bit rate and sampling rate.
_SECOND = bytes(byte for byte in range(0xE0, 0x100) if byte >> 3 & 3 != 1 and byte >> 1 & 3 in (1, 2))
_THIRD = bytes(byte for byte in range(0x100) if byte >> 4 not in (0, 15) and byte & _NO_RATE != _NO_RATE)
_SYNC = re.compile(rb"\xff(?=[%b][%b]|[\xf0\xf1\xf8\xf9])" % (re.escape(_SECOND), re.escape(_THIRD)))


def mpeg_audio_frame(data: bytes, offset: int) -> tuple[int, float] | None:
    """(bytes, seconds) of the MPEG audio frame at `offset`; None where there is none."""
    header = data[offset : offset + _MPEG_AUDIO.size]
    length = _mpeg_audio_length(header) if len(header) == _MPEG_AUDIO.size else 0
    if not length:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    samples = 384 if layer == _LAYER1 else 576 if layer == _LAYER3 and version != _V1 else 1152
    return length, samples / _RATES[version][header[2] >> 2 & 3]


def adts_frame(data: bytes, offset: int) -> tuple[int, float] | None:
    """(bytes, seconds) of the AAC frame at `offset`; None where there is none."""
    header = data[offset : offset + _ADTS.size]
    length = _adts_length(header) if len(header) == _ADTS.size else 0
    if not length:
        return None
    blocks = (header[6] & 3) + 1  # of 1,024 samples
    return length, 1024 * blocks / _ADTS_RATES[header[2] >> 2 & 15]


_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
