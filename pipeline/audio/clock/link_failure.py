"""Why nothing is heard of a link: what its decoder says, or what is wrong with its header, which no decoder tells."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.audio.access.open_source import OpenSource
from pipeline.audio.clock.plain_samples import PlainSamples
from pipeline.audio.containers.table import FLV, MATROSKA, MP4, Container
from pipeline.audio.ffmpeg.damaged_header import damaged_header
from pipeline.audio.ffmpeg.error_mapping import failure, refuse_strange
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.ffmpeg.process import Child
from pipeline.audio.mp4.damaged_index import unheard_sound
from pipeline.audio.mp4.data_references import ELSEWHERE
from pipeline.audio.source import Recording
from pipeline.errors import DamagedMedia, InvalidRequest, SandboxFailed, StenopoolError, UnsupportedMedia

# Which codecs say nothing of their rate and channels, in containers that do.
_TOLD_BY: Mapping[Container, str] = {MATROSKA: "pcm", FLV: "aac"}
_NOTHING = "\0"


class LinkFailure:
    """Of a link of what is open; `track` counts its sound tracks from 0."""

    def __init__(self, source: OpenSource, recording: Recording, track: int) -> None:
        self._read, self._track = source.read, track
        self._found, self._end = recording.found, recording.end or source.size
        self._is_elsewhere = track < len(recording.elsewhere) and recording.elsewhere[track]

    def of(self, child: Child | PlainSamples) -> StenopoolError:
        """Why it made no sound, or no more of it."""
        error = failure(child.log, child.returncode, self._track)
        is_odd = isinstance(error, (UnsupportedMedia, SandboxFailed))
        return (self._damaged_header() if is_odd else None) or error

    def taken(self, child: Child | PlainSamples) -> AudioStream:
        """The track as `child` lists it. Raises InvalidRequest where there is none of that number, and what is said of one that is
        not taken."""
        sounds = child.log.sounds
        if 0 < len(sounds) <= self._track:
            found = f"There is no audio track {self._track + 1}; the last one of this file is {len(sounds)}."
            raise InvalidRequest(found, param="audio_track")
        if self._is_elsewhere:
            raise UnsupportedMedia(ELSEWHERE)
        if not sounds:
            raise self.of(child)
        try:
            refuse_strange(sounds[self._track], child.log.tracks)
        except UnsupportedMedia as error:
            if damaged := self._damaged_header():
                raise damaged from error
            raise
        if self._is_untold(sounds[self._track]) and (damaged := self._damaged_header()):
            raise damaged
        return sounds[self._track]

    def unheard_sound(self) -> DamagedMedia | None:
        """Why nothing was heard of an MP4 that is not empty."""
        if self._found.container is not MP4:
            return None
        return self._damaged_header() or unheard_sound(self._read, self._found.start, self._end)

    def _is_untold(self, sound: AudioStream) -> bool:
        """Whether the container alone tells what its samples are: by a damaged header they would be heard as others."""
        return sound.codec.startswith(_TOLD_BY.get(self._found.container, _NOTHING))

    def _damaged_header(self) -> DamagedMedia | None:
        """Why it seems to hold nothing that is taken, where that is not true."""
        return damaged_header(self._read, self._found, self._end)
