"""Samples that already are what is asked for are read as they are.

To start a sandboxed ffmpeg takes many times the processor time that everything else takes which is done with a short recording.
Where it would only hand on what stands in the file, byte by byte, it is not asked: there is nothing to parse that an attacker could
hide in, and nothing to judge.
"""

from __future__ import annotations

from pipeline.audio.access.open_source import OpenSource
from pipeline.audio.containers.wav_format import PlainSound
from pipeline.audio.ffmpeg.log_parser import AudioStream, Log
from pipeline.audio.ffmpeg.process import BLOCK_BYTES

_CODEC = "pcm_s16le"
_SAMPLE_BYTES = 2


class PlainSamples:
    """Reads as an ffmpeg that is being read from (pipeline.audio.ffmpeg.process), which never fails and has nothing to tell."""

    returncode = 0

    def __init__(self, source: OpenSource, sound: PlainSound) -> None:
        """The samples of what is open."""
        self._source, self._sound = source, sound
        self._at, self._end = sound.start, sound.end
        self.log = Log()
        self.log.opened = True
        self.log.tracks = self.log.channels = self.log.most_channels = 1
        self.log.sounds = [AudioStream(_CODEC, sound.rate, 1)]

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """The next block of them; b"" at their end."""
        block = self._source.read(self._at, min(size, self._end - self._at)) if self._at < self._end else b""
        self._at += len(block)
        return block

    def skip_to(self, place: int) -> int:
        """Go on at that sample, or from the beginning where there is none; how many are before it."""
        at = self._sound.start + _SAMPLE_BYTES * place
        self._at = at if at < self._end else self._sound.start
        return (self._at - self._sound.start) // _SAMPLE_BYTES

    def close(self) -> None:
        """Nothing is held."""
