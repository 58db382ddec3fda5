"""The first frame of an mp3 where it is no sound, but tells of the frames that follow: Xing's tag, also named Info, which LAME's
continues, and VBRI's.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.audio.containers.chunks import Read
from pipeline.audio.mpeg_frames import mpeg_frame

_LAYER3 = 3
_XING = (b"Xing", b"Info")
_XING_AT = {(True, False): 36, (True, True): 21, (False, False): 21, (False, True): 13}  # by version 1 and mono
_HAS_FRAMES, _HAS_BYTES = 1, 2  # flags
_VBRI_AT, _VBRI_BYTES_AT, _VBRI_FRAMES_AT = 36, 46, 50


@dataclass(frozen=True)
class Mp3Tag:
    """The frame's bytes, with where in it the count of frames and that of bytes stand; None: it does not say."""

    data: bytes
    frames_at: int | None
    bytes_at: int | None

    @property
    def frames(self) -> int:
        """As many as it says there are, 0 where it does not."""
        return _number(self.data, self.frames_at)

    def retold(self, frames: int) -> bytes:
        """The same for so many frames, of which it does not say how many bytes they take. ffmpeg does not believe a count of frames
        whose bytes it cannot count, and would play the padding behind the last."""
        data = bytearray(self.data)
        if self.frames_at is not None:
            data[self.frames_at : self.frames_at + 4] = frames.to_bytes(4, "big")
        if self.bytes_at is not None and frames:
            data[self.bytes_at : self.bytes_at + 4] = bytes(4)
        return bytes(data)

    def believed(self, size: int) -> int:
        """The frames that ffmpeg believes there are in a file of so many bytes from the tag on: none where others seem to be joined
        behind them."""
        said = _number(self.data, self.bytes_at)
        return 0 if said and size - 4 > said and size - 4 - said > said >> 4 else self.frames


def mp3_tag(read: Read, at: int) -> Mp3Tag | None:
    """The one that begins at `at`; None where a frame of sound does, or none."""
    frame = mpeg_frame(read(at, 4))
    if frame is None or frame.layer != _LAYER3:
        return None
    data = read(at, frame.length)
    begin = _XING_AT[frame.version1, frame.mono]
    if data[begin : begin + 4] in _XING:
        found = _xing(data, begin)
    elif data[_VBRI_AT : _VBRI_AT + 6] == b"VBRI\0\1":
        found = Mp3Tag(data, _VBRI_FRAMES_AT, _VBRI_BYTES_AT)
    else:
        return None
    return found if len(data) == frame.length and (found.frames or _number(data, found.bytes_at)) else None


def _xing(data: bytes, begin: int) -> Mp3Tag:
    flags, at = data[begin + 7], begin + 8
    frames_at = at if flags & _HAS_FRAMES else None
    at += 4 * bool(flags & _HAS_FRAMES)
    return Mp3Tag(data, frames_at, at if flags & _HAS_BYTES else None)


def _number(data: bytes, at: int | None) -> int:
    return 0 if at is None else int.from_bytes(data[at : at + 4], "big")
