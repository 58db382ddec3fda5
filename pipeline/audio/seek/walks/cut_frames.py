"""Frames that are carried in packets which cut them anywhere."""

from __future__ import annotations

from collections.abc import Hashable

from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.seek.walks.frame_walk import FRAMES


class CutFrames:
    """Takes what the packets of one stream carry, in order; the first of them begins with a frame. `counted`: samples of all frames
    whose beginning was seen."""

    def __init__(self, sound: AudioStream) -> None:
        """Raises KeyError for a codec that has no frames that say how long they are."""
        self.counted = 0
        self._frames, self._rate = FRAMES[sound.codec], sound.sample_rate
        self._kind: Hashable = None
        self._carry, self._skip = b"", 0  # the beginning of a frame's header; bytes that are left of a frame

    def take(self, data: bytes) -> tuple[int, int] | None:
        """(where in it, samples before it) of the first frame with sound that begins in these bytes. Raises ValueError where frames
        do not follow one another, or are of another kind."""
        before, at, first = len(self._carry), self._skip, None
        data = self._carry + data
        while at + self._frames.size <= len(data):
            frame = self._frames.read(data[at : at + self._frames.size], self._rate)
            if frame is None:
                raise ValueError
            length, brings, kind = frame
            self._kind = self._kind if kind is None else self._kind or kind
            if kind is not None and kind != self._kind:
                raise ValueError
            if first is None and brings and at >= before:
                first = at - before, self.counted
            self.counted += brings
            at += length
        self._carry, self._skip = data[at:], max(0, at - len(data))
        return first
